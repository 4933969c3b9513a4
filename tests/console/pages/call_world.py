"""A call as the box keeps one: rows, words, tools, ladder, and a sealed recording in the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.agents.tables import Agent
from appliance.calls import tables
from appliance.calls.summary import summarize
from appliance.clients.object_store import ObjectStore
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.recordings.archive import Archive
from appliance.recordings.container import SAMPLE_RATE_HZ
from appliance.recordings.service import open_recording
from appliance.recordings.spool import SpoolWriter
from appliance.security.keys import KeyRing
from provisioning.lite.box import Box

SCRIPT = "<script>document.title='taken over'</script>"
LINES = (
    ("agent", "This call is recorded. Riverside Dental Practice, how can I help you?"),
    ("caller", "Hello, this is Zoë Müller-Łukasz. I need a check-up on Tuesday."),
    ("agent", "On Tuesday there is a free appointment at ten thirty or at two o'clock."),
    ("caller", f"Half past ten, please. {SCRIPT}"),
    ("agent", "I have booked Tuesday, half past ten, for Zoë Müller-Łukasz. Anything else?"),
    ("caller", "No, thank you. Goodbye."),
    ("agent", "Thank you for calling Riverside Dental Practice. Goodbye."),
)
LINE_MS = 3000


@dataclass(frozen=True)
class KeptCall:
    call_id: UUID
    recording_id: UUID


def voices(seconds: float) -> bytes:
    """Caller and agent by turns, each line a swell of a tone of its own."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    line = (times * 1000 // LINE_MS).astype(int)
    place = (times * 1000 % LINE_MS) / LINE_MS
    shape = np.sin(np.pi * np.clip(place * 1.25, 0, 1)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * times))
    agent = np.where(line % 2 == 0, 9000 * shape * np.sin(2 * np.pi * 180 * times), 0)
    caller = np.where(line % 2 == 1, 12000 * shape * np.sin(2 * np.pi * 240 * times), 0)
    return np.stack([caller, agent], axis=1).astype("<i2").tobytes()


async def keep_call(
    box: Box,
    engine: AsyncEngine,
    folder: Path,
    *,
    at: datetime | None = None,
    caller: str = "+493012345678",
    outcome: str = "booked",
    lines: tuple[tuple[str, str], ...] = LINES,
    recorded: bool = True,
) -> KeptCall:
    """Writes everything of one finished call of the seeded organization."""
    organization_id = box.seed.organization_id
    keys = KeyRing.from_settings(box.settings.security)
    began = at or datetime.now(UTC) - timedelta(hours=3)
    ended = began + timedelta(milliseconds=LINE_MS * len(lines))
    hostile = SCRIPT if any(SCRIPT in text for _, text in lines) else ""
    call_id = uuid7()
    mine: dict[str, Any] = {"organization_id": organization_id, "call_id": call_id}
    async with UnitOfWork(engine, organization_id) as uow:
        version = await uow.session.scalar(
            select(Agent.published_version_id).where(Agent.id == box.seed.agent_id)
        )
        uow.session.add(
            tables.Call(
                id=call_id,
                organization_id=organization_id,
                agent_version_id=version,
                number_id=box.seed.number_id,
                trunk_id=box.seed.trunk_id,
                direction="inbound",
                sip_call_id=f"{call_id}@example.org",
                room_name=f"call-{call_id}",
                caller=caller,
                called=box.seed.number,
                status="ended",
                outcome=outcome,
                ended_by="caller",
                created_at=began,
                last_news_at=ended,
                answered_at=began,
                ended_at=ended,
                finished_at=ended,
                q850_cause=16,
                quality={
                    "caller": {
                        "rx_packets": 1050,
                        "tx_packets": 1048,
                        "rx_loss": 0.002,
                        "tx_loss": 0.0,
                        "rx_jitter_ms": 1.4,
                        "tx_jitter_ms": 2.0,
                        "rtt_ms": 18.0,
                    }
                },
            )
        )
        await uow.session.flush()
        for index, (speaker, text) in enumerate(lines):
            uow.session.add(
                tables.TranscriptSegment(
                    **mine,
                    index=index,
                    speaker=speaker,
                    starts_ms=index * LINE_MS,
                    ends_ms=index * LINE_MS + 2600,
                    text=text,
                )
            )
        for index in range(len(lines) // 2):
            slow = 180.0 * index
            uow.session.add(
                tables.Turn(
                    **mine,
                    index=index,
                    caller_text=lines[2 * index + 1][1],
                    agent_text=lines[2 * index + 2][1] if 2 * index + 2 < len(lines) else "",
                    started_at=began + timedelta(milliseconds=LINE_MS * (2 * index + 1)),
                    interrupted=index == 1,
                    stamps={
                        "vad_end": 60.0,
                        "end_of_turn": 260.0,
                        "stt_final": 300.0,
                        "llm_first_token": 390.0 + slow,
                        "first_clause": 450.0 + slow,
                        "tts_first_audio": 540.0 + slow,
                        "first_audio_out": 580.0 + slow,
                    },
                )
            )
        uow.session.add(
            tables.ToolCall(
                **mine,
                tool_call_id=f"call-{call_id}",
                action="create_booking",
                arguments={
                    "date": "2026-11-24",
                    "time": "10:30",
                    "name": f"Zoë Müller-Łukasz {hostile}".strip(),
                },
                result={"ok": True, "result": {"date": "2026-11-24", "time": "10:30"}, "say": "Booked."},
                finished_at=began + timedelta(seconds=11),
            )
        )
        uow.session.add(
            tables.CallNote(**mine, text=f"Please call back about the invoice. {hostile}".strip())
        )
        steps = (
            ("in", "INVITE"),
            ("out", "100"),
            ("out", "180"),
            ("out", "200"),
            ("in", "ACK"),
            ("in", "BYE"),
        )
        for index, (direction, message) in enumerate(steps):
            detail = {"index": index, "leg": "caller", "direction": direction, "method_or_status": message}
            at_step = ended if message == "BYE" else began
            uow.session.add(tables.CallEvent(**mine, at=at_step, kind="sip", detail=detail))
        uow.session.add(tables.CallEvent(**mine, at=began, kind="answered", detail={}))
        uow.session.add(tables.CallEvent(**mine, at=ended, kind="ended", detail={"party": "caller"}))
        await uow.session.flush()
        await summarize(uow, call_id)
    recording_id = uuid7()
    if recorded:
        async with UnitOfWork(engine, organization_id) as uow:
            bucket = box.settings.object_store.bucket
            grant = await open_recording(uow, keys, call_id=call_id, attempt=1, bucket=bucket)
        writer = SpoolWriter.create(folder, grant, call_id=call_id, attempt=1)
        writer.append(voices(LINE_MS * len(lines) / 1000))
        writer.close()
        store = ObjectStore(box.settings.object_store)
        try:
            assert await Archive(engine, keys, store).bring_in(writer.path) == "stored"
        finally:
            await store.close()
        recording_id = grant.recording_id
    return KeptCall(call_id, recording_id)
