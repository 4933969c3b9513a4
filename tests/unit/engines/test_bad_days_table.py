"""Every bad day that the engines must survive names its tests, and the tests are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TABLE = (ROOT / "docs" / "bad-days-engines.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(\w+/\w+\.py)::(\w+)`", TABLE)))
DAYS = (
    "killed",
    "hanging",
    "out of memory at load",
    "corrupt or wrong weights",
    "never ends",
    "100 streams at a limit of 8",
    "wrong rate, empty, clipped",
    "40 minutes",
    "invalid UTF-8",
    "endless reply",
    "tool that does not exist",
    "arguments that do not fit",
    "client that disappears",
)


@pytest.mark.parametrize("day", DAYS)
def test_each_bad_day_has_a_row(day: str) -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and "::" in line]
    assert any(day in row for row in rows)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_named_test_is_there(file: str, name: str) -> None:
    text = (ROOT / "tests" / "engines" / file).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
