"""Weights that are missing, changed or of another kind: refused in a sentence, and nothing is looked up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from models.offline import OFFLINE
from provisioning.lite.box import Box
from provisioning.lite.engines import interpreter
from tests.engines.llm.conftest import add
from tests.fixtures.box import REPOSITORY, TEST_PORT

MODEL = REPOSITORY / "tests" / "models" / "chat" / "model"


def _serve(folder: Path, manifest: Path) -> subprocess.CompletedProcess[str]:
    """The server as the box starts it, without a network: a look-up would fail loudly, and late."""
    box = Box(
        folder,
        TEST_PORT + 2000,
        engines="real",
        durable=False,
        overrides={"engines": {"manifest": str(manifest)}},
    )
    box.prepare()
    command = ["unshare", "--net", str(interpreter("language")), "-m", "models.llm.vllm"]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **box.environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def _flip(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 0xFF
    weights.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (_cut, "another size"),
        (_flip, "was changed"),
    ],
    ids=["no weights", "no tokenizer", "cut short", "one byte"],
)
def test_damaged_weights_are_refused_before_anything_starts(
    tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    manifest = tmp_path / "manifest.yaml"
    add("demo-chat", model, manifest)
    damage(model)
    ended = _serve(tmp_path / "box", manifest)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_model_the_remedy_is_told(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump({"models": []}))
    ended = _serve(tmp_path / "box", manifest)
    assert ended.returncode == 2
    assert "appliance models add" in ended.stderr


def test_the_running_server_is_told_to_stay_on_the_box(language_box: Box) -> None:
    for pid in language_box.pids("language")[1:2]:
        environment = psutil.Process(pid).environ()
        assert {key: environment.get(key) for key in OFFLINE} == dict(OFFLINE)
