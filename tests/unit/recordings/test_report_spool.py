"""A report waits on the disk unreadable, and opens with its call's data key alone."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.calls.domain import Finish, Segment
from appliance.calls.report_spool import load_report, read_report, waiting_reports, write_report
from appliance.errors import IntegrityError
from appliance.security.sealing import new_key
from tests.unit.recordings.sample import grant

KEY = bytes(range(32))
CALL = UUID(int=2)
FINISH = Finish(
    outcome="booked",
    ended_by="caller",
    segments=(Segment(speaker="caller", starts_ms=0, ends_ms=900, text="on tuesday at ten please"),),
    attempt=2,
)


def test_it_comes_back_and_is_unreadable_meanwhile(tmp_path: Path) -> None:
    path = write_report(tmp_path, grant(KEY), CALL, 2, FINISH)
    assert waiting_reports(tmp_path) == [path]
    assert path.name == f"{CALL}-2.json.enc"
    assert b"tuesday" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    report = load_report(path)
    assert (report.call_id, report.attempt) == (CALL, 2)
    assert read_report(report, KEY) == FINISH
    with pytest.raises(IntegrityError):
        read_report(report, new_key())


def test_a_later_report_of_the_same_attempt_replaces_it(tmp_path: Path) -> None:
    write_report(tmp_path, grant(KEY), CALL, 2, FINISH.model_copy(update={"outcome": "failed"}))
    path = write_report(tmp_path, grant(KEY), CALL, 2, FINISH)
    assert read_report(load_report(path), KEY).outcome == "booked"
    assert list(path.parent.iterdir()) == [path]


@given(st.data())
def test_any_damage_is_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("report")
    path = write_report(folder, grant(KEY), CALL, 2, FINISH)
    content = path.read_bytes()
    sealed_from = content.index(b"\n", 9) + 1
    cut = data.draw(st.integers(0, len(content) - 5))
    path.write_bytes(content[:cut])
    with pytest.raises(IntegrityError):
        read_report(load_report(path), KEY)
    changed = bytearray(content)
    changed[data.draw(st.integers(sealed_from, len(content) - 5))] ^= 1
    path.write_bytes(changed)
    with pytest.raises(IntegrityError):
        read_report(load_report(path), KEY)


def test_a_report_that_was_given_to_another_call_does_not_open(tmp_path: Path) -> None:
    path = write_report(tmp_path, grant(KEY), CALL, 2, FINISH)
    path.write_bytes(path.read_bytes().replace(str(CALL).encode(), str(UUID(int=3)).encode()))
    with pytest.raises(IntegrityError):
        read_report(load_report(path), KEY)
