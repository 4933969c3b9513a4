"""The settings, the ports and the contracts in the documents say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from appliance.cli import build
from appliance.errors import InvalidInput
from appliance.settings import SecretFile, Settings
from provisioning.lite.ports import OFFSETS, SPAN, Ports
from provisioning.lite.programs import PARTS

REPOSITORY = Path(__file__).resolve().parents[3]


def _keys(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, SecretFile):
            yield from _keys(kind, f"{above}{name}.")
        else:
            yield f"{above}{name}", name


def test_each_setting_is_used() -> None:
    files = [
        file
        for package in ("appliance", "models", "runtime", "console", "provisioning")
        for file in (REPOSITORY / package).rglob("*.py")
        if file.name != "settings_file.py"
    ]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    used = set(re.findall(r"\.(\w+)\b", source))
    assert [key for key, name in _keys(Settings) if name not in used] == []


def test_no_two_parts_share_a_port() -> None:
    assert len(set(OFFSETS.values())) == len(OFFSETS)
    assert max(OFFSETS.values()) < SPAN
    single = [offset for name, offset in OFFSETS.items() if not name.startswith("rtp")]
    assert max(single) < OFFSETS["rtp_first"]
    listened = [name for part in PARTS.values() for name in part.listens]
    assert sorted(listened) == sorted(name for name in OFFSETS if not name.startswith("rtp"))


def test_the_offsets_are_those_of_the_document() -> None:
    document = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \|", document, flags=re.MULTILINE)
    documented = {
        name: {int(n) for n in re.findall(r"\d+", re.sub(r"\d+-\d+", "", cell))} for name, cell in rows
    }
    for part in PARTS.values():
        assert {OFFSETS[name] for name in part.listens} == documented[part.name], part.name


def test_what_a_part_needs_comes_before_it() -> None:
    order = list(PARTS)
    for name, part in PARTS.items():
        assert all(order.index(need) < order.index(name) for need in part.needs), name


@pytest.mark.parametrize("base", [0, 80, 65500])
def test_a_port_base_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        Ports(base)
    assert caught.value.field == "port_base"


def test_every_command_of_the_command_line_loads() -> None:
    commands = {point.name for point in entry_points(group="trunkline.commands")}
    assert {"up", "down", "status", "doctor", "demo", "database", "recording"} <= commands
    group = typer.main.get_command(build())
    assert commands <= set(group.commands)  # type: ignore[attr-defined]
