"""Weights that are not the ones that were added, and too little memory: told in a sentence, not served."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import InvalidInput
from models.manifest import Manifest, add, load_catalog
from tests.engines.stt.triton_process import RECOGNISER, START_SECONDS, TritonProcess
from tests.fixtures.box import TEST_PORT

TOO_LITTLE = 700 * 2**20


def _box(folder: Path) -> TritonProcess:
    weights = folder / "weights"
    weights.mkdir()
    copy = Path(shutil.copy(RECOGNISER, weights))
    return TritonProcess(folder / "box", TEST_PORT + 400, weights=copy)


def _ended(triton: TritonProcess) -> int:
    triton.start()
    assert triton.process is not None
    try:
        return triton.process.wait(START_SECONDS)
    finally:
        triton.stop()


@pytest.mark.parametrize("damage", ["changed", "cut short", "missing"])
def test_weights_that_are_not_those_that_were_added_are_not_loaded(tmp_path: Path, damage: str) -> None:
    triton = _box(tmp_path)
    triton.prepare()
    data = bytearray(triton.weights.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        triton.weights.unlink()
    else:
        triton.weights.write_bytes(data if damage == "changed" else data[:-1])
    assert _ended(triton) == 2
    expected = {"changed": "was changed", "cut short": "another size", "missing": "is missing"}[damage]
    assert f"recogniser.nemo {expected}" in triton.log.replace("has another", "another")
    assert "tritonserver" not in triton.log


def test_weights_of_another_kind_are_not_added(tmp_path: Path) -> None:
    wrong = tmp_path / "recogniser.nemo"
    wrong.write_bytes(b"not an archive")
    with pytest.raises(InvalidInput, match=r"is not a \.nemo archive"):
        add(Manifest(), load_catalog()["demo-recogniser"], wrong)
    with pytest.raises(InvalidInput, match="wants"):
        add(Manifest(), load_catalog()["parakeet-tdt-0.6b-v3"], RECOGNISER)


def test_too_little_memory_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    triton = _box(tmp_path)
    triton.memory_bytes = TOO_LITTLE
    triton.prepare()
    assert _ended(triton) == 3
    assert "Triton could not serve the recogniser" in triton.log


def test_without_the_environments_the_set_up_is_named(tmp_path: Path) -> None:
    triton = _box(tmp_path)
    triton.prepare()
    done = subprocess.run(
        [sys.executable, "-m", "models.triton"],
        env={"TRUNKLINE_SETTINGS": str(triton.folder / "settings.yaml"), "TRUNKLINE_ENGINES": str(tmp_path)},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "make setup-engines" in done.stderr
