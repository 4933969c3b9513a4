"""A pytest plugin that notes every test's outcome as soon as it is known, so that a crash loses none.

Each line of the file that TRUNKLINE_TEST_OUTCOMES names is JSON: `{"id": ..., "outcome": ...}`, one of
collected, passed, failed, skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

VARIABLE = "TRUNKLINE_TEST_OUTCOMES"


def _note(node_id: str, outcome: str) -> None:
    with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": node_id, "outcome": outcome}) + "\n")


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        _note(item.nodeid, "collected")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _note(report.nodeid, "failed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Set-up and tear-down count: a test whose tear-down fails has failed."""
    if report.when == "call" or report.outcome != "passed":
        _note(report.nodeid, report.outcome)


def read(path: Path) -> dict[str, str]:
    """The last word on each test; `failed` stays."""
    outcomes: dict[str, str] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if outcomes.get(row["id"]) != "failed":
                outcomes[row["id"]] = row["outcome"]
    return outcomes
