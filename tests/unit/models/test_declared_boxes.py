"""`appliance models plan` for the three boxes that are sold: a plan, or what to remove or to take instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.cli import app

BOXES = {
    "one card of 24 GB": "gpus: [{index: 0, name: L4, memory_mib: 24564}]",
    "one card of 80 GB": "gpus: [{index: 0, name: H100, memory_mib: 81559}]",
    "two cards with MIG": """
gpus:
  - index: 0
    name: A100
    memory_mib: 40960
    slices: [{profile: 4g.20gb, memory_mib: 19968}, {profile: 2g.10gb, memory_mib: 9856}]
  - index: 1
    name: A100
    memory_mib: 40960
    slices: [{profile: 3g.20gb, memory_mib: 19968}, {profile: 3g.20gb, memory_mib: 19968}]
""",
}
SMALL = ("qwen2.5-7b-instruct-awq", "fastconformer-hybrid-large-streaming", "vits")
FULL = ("qwen2.5-7b-instruct", "parakeet-tdt-0.6b-v3", "vits")
LARGE = ("qwen2.5-32b-instruct-awq", "parakeet-tdt-0.6b-v3", "xtts-v2")


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def plan(box: str, models: tuple[str, ...], streams: int, *options: str) -> tuple[int, str]:
        declared = tmp_path / "box.yaml"
        declared.write_text(f"name: {box}\n{BOXES[box]}\n")
        words = ["plan", *models, "--inventory", str(declared), "--streams", str(streams), *options]
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    return plan


@pytest.mark.parametrize(
    ("box", "models", "streams"),
    [
        ("one card of 24 GB", SMALL, 8),
        ("one card of 80 GB", FULL, 32),
        ("one card of 80 GB", LARGE, 32),
        ("two cards with MIG", SMALL, 32),
    ],
)
def test_what_fits_is_placed_once_and_within_each_device(
    run: Any, box: str, models: tuple[str, ...], streams: int
) -> None:
    code, said = run(box, models, streams, "--json")
    assert code == 0, said
    found = json.loads(said)
    placed = [model["profile"] for device in found["devices"] for model in device["models"]]
    assert sorted(placed) == sorted(models)
    for device in found["devices"]:
        assert sum(model["memory_mib"] for model in device["models"]) <= device["usable_mib"]
    code, picture = run(box, models, streams)
    assert code == 0
    assert f"{box}: {streams} calls at once fit." in picture
    assert all(model in picture for model in models)
    assert picture.count("[") == len(found["devices"])  # a bar for each


@pytest.mark.parametrize(
    ("box", "models", "streams", "told"),
    [
        ("one card of 24 GB", FULL, 32, "Take qwen2.5-7b-instruct-awq instead of qwen2.5-7b-instruct."),
        ("one card of 24 GB", LARGE, 4, "Remove qwen2.5-32b-instruct-awq"),
        ("one card of 80 GB", (*LARGE, "qwen2.5-7b-instruct"), 128, "Remove qwen2.5-32b-instruct-awq and"),
        ("two cards with MIG", LARGE, 8, "Take qwen2.5-7b-instruct-awq instead of qwen2.5-32b-instruct-awq."),
        ("two cards with MIG", LARGE, 8, "Remove qwen2.5-32b-instruct-awq"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_refusal_names_what_to_remove(
    run: Any, box: str, models: tuple[str, ...], streams: int, told: str
) -> None:
    code, said = run(box, models, streams)
    assert code == 1, said
    assert f"{box}: {streams} calls at once do not fit." in said
    assert told in " ".join(said.split())
    code, as_json = run(box, models, streams, "--json")
    assert code == 1
    assert json.loads(as_json)["fits"] is False
