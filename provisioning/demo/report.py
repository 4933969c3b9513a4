"""`var/demo/report.json`: what a call was, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from provisioning.caller.dialogue import Exchange
from provisioning.demo.call_records import Row
from provisioning.demo.stored_object import SeenObject

_EARLY_SECONDS = 1.0


def turns_of(rows: Sequence[Row], exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """The stored turns with the latency that the caller's RTP showed.

    A turn belongs to the newest utterance that had begun when the turn did. When the agent took one utterance
    for several turns, the last that was answered has the latency.
    """
    owner: dict[int, int] = {}
    for position, row in enumerate(rows):
        if row["caller_text"] and row["started_at"] is not None:
            at_ns = (row["started_at"].timestamp() + _EARLY_SECONDS) * 1e9
            begun = [index for index, exchange in enumerate(exchanges) if exchange.speech.start_ns <= at_ns]
            if begun and (row["agent_text"] or begun[-1] not in owner):
                owner[begun[-1]] = position
    latency = {position: exchanges[index].latency_ms for index, position in owner.items()}
    return [
        {
            "caller_text": row["caller_text"],
            "agent_text": row["agent_text"],
            "latency_ms": latency.get(position),
            "stamps_ms": row["stamps"],
        }
        for position, row in enumerate(rows)
    ]


def booking_of(rows: Sequence[Row], timezone: str) -> dict[str, Any] | None:
    """The last booking that stands, in the practice's time."""
    standing = [row for row in rows if row["cancelled_at"] is None]
    if not standing:
        return None
    row = standing[-1]
    zone = ZoneInfo(timezone)
    return {
        "id": str(row["id"]),
        "calendar": row["calendar"],
        "starts_at": _local(row["starts_at"], zone),
        "ends_at": _local(row["ends_at"], zone),
        "name": row["name"],
        "phone": row["phone"],
        "reason": row["reason"],
    }


def recording_of(row: Row, seen: SeenObject) -> dict[str, Any]:
    return {
        "bucket": row["bucket"],
        "object": row["object"],
        "sha256": seen.sha256,
        "sha256_matches": seen.sha256 == row["sha256"],
        "seconds": row["seconds"],
        "channels": row["channels"],
        "sample_rate_hz": row["sample_rate_hz"],
        "encrypted": seen.encrypted and row["wrapped_data_key"] is not None,
    }


def latencies(turns: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """Median and worst of the turns that have a latency."""
    known = sorted(turn["latency_ms"] for turn in turns if turn["latency_ms"] is not None)
    return {"p50": round(median(known), 1), "max": known[-1]} if known else None


def write_report(
    path: Path,
    calls: Sequence[dict[str, Any]],
    components: list[dict[str, Any]],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """The first call at the top level, all of them under `calls` when there are several; `more` beside it."""
    document: dict[str, Any] = {
        **calls[0],
        "components": components,
        **more,
        "written_at": datetime.now(UTC).isoformat(),
    }
    if len(calls) > 1:
        document["calls"] = list(calls)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
    return document


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat()
