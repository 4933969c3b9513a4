"""The demo's report: latencies find their turns, and an object that is no noise is not called encrypted."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from provisioning.caller.capture import Span
from provisioning.caller.dialogue import Exchange
from provisioning.demo.report import booking_of, latencies, turns_of, write_report
from provisioning.demo.stored_object import entropy_bits

T0 = 1_800_000_000


def row(second: float, caller: str, agent: str) -> dict[str, object]:
    started = datetime.fromtimestamp(T0 + second, UTC)
    return {"caller_text": caller, "agent_text": agent, "started_at": started, "stamps": {}}


def exchange(second: float, latency_ms: int | None) -> Exchange:
    start, end = int((T0 + second) * 1e9), int((T0 + second + 1) * 1e9)
    return Exchange(
        "x", Span(start, end), None if latency_ms is None else end + latency_ms * 1_000_000, False
    )


def test_latencies_find_their_turns() -> None:
    rows = [
        row(0, "", "hello"),
        row(5.1, "book", "when"),
        row(9.2, "on", ""),
        row(9.9, "friday", "what time"),
    ]
    turns = turns_of(rows, [exchange(5, 400), exchange(9, 650), exchange(14, None)])
    assert [turn["latency_ms"] for turn in turns] == [None, 400.0, None, 650.0]
    assert latencies(turns) == {"p50": 525.0, "max": 650.0}
    assert latencies([]) is None


def test_a_cancelled_booking_is_none() -> None:
    kept = {
        "id": uuid4(),
        "calendar": "Appointments",
        "starts_at": datetime(2026, 7, 1, 8, 0, tzinfo=UTC),
        "ends_at": datetime(2026, 7, 1, 8, 30, tzinfo=UTC),
        "name": "John Smith",
        "phone": None,
        "reason": None,
        "cancelled_at": None,
    }
    found = booking_of([kept], "Europe/Berlin")
    assert found is not None
    assert found["starts_at"] == "2026-07-01T10:00:00+02:00"
    assert booking_of([{**kept, "cancelled_at": datetime.now(UTC)}], "Europe/Berlin") is None


def test_the_report_has_the_first_call_on_top(tmp_path: Path) -> None:
    path = tmp_path / "demo" / "report.json"
    write_report(path, [{"call_id": "a"}, {"call_id": "b"}], [], {"console": "here"})
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["call_id"], document["console"]) == ("a", "here")
    assert [call["call_id"] for call in document["calls"]] == ["a", "b"]


def test_noise_and_sound_are_told_apart() -> None:
    assert entropy_bits(os.urandom(20_000)) > 7.9
    assert entropy_bits(bytes(20_000)) == 0
