"""What nvidia-smi prints, and what a site declares."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.errors import InvalidInput, Unavailable
from models.cli import app
from models.inventory import load_inventory, parse_nvidia_smi

LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-2222-3333-4444-555555555555)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee)
  MIG 2g.10gb     Device  1: (UUID: MIG-aaaaaaaa-bbbb-cccc-dddd-ffffffffffff)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-2222-3333-4444-666666666666)
"""


def test_gpus_and_their_slices_are_read():
    box = parse_nvidia_smi("0, NVIDIA A100, 40960\n1, NVIDIA A100, 40960\n", LISTING)
    assert [gpu.index for gpu in box.gpus] == [0, 1]
    assert [part.profile for part in box.gpus[0].slices] == ["3g.20gb", "2g.10gb"]
    assert box.gpus[0].slices[0].memory_mib == 19073
    assert box.gpus[1].slices == ()


def test_words_that_are_not_understood_are_told():
    with pytest.raises(Unavailable, match="not understood"):
        parse_nvidia_smi("No devices were found", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpus: [{index: 0, name: a, memory_mib: 0}]", "memory_mib"),
        ("gpus: [{index: 0, name: a, memory_mib: 5}, {index: 0, name: b, memory_mib: 5}]", "twice"),
        ("gpus: [{index: 0, name: a, memory_mib: 5, slices: [{profile: x, memory_mib: 9}]}]", "larger"),
        ("gpus: [", "not YAML"),
        ("cards: []", "gpus"),
    ],
)
def test_a_declared_box_that_is_wrong_is_told_where(tmp_path: Path, text: str, said: str):
    (tmp_path / "box.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        load_inventory(tmp_path / "box.yaml")


def test_the_command_draws_a_plan_and_tells_a_refusal_by_its_exit_code(tmp_path: Path):
    box = tmp_path / "box.yaml"
    box.write_text("name: the test box\ngpus: [{index: 0, name: L4, memory_mib: 24564}]\n")
    run = CliRunner().invoke(app, ["plan", "vits", "--inventory", str(box), "--streams", "2"])
    assert run.exit_code == 0
    assert "the test box: 2 calls at once fit" in run.output
    refused = CliRunner().invoke(
        app, ["plan", "qwen2.5-32b-instruct-awq", "--inventory", str(box), "--json", "--streams", "64"]
    )
    assert refused.exit_code == 1
    assert '"fits": false' in refused.output
