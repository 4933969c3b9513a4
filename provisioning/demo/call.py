"""One call of the demo: placed, held to its end, and collected from what the box kept of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from appliance.errors import Unavailable
from provisioning.caller import Leg, SipCaller
from provisioning.caller.dialogue import Dialogue
from provisioning.caller.persona import booking_caller
from provisioning.caller.voice import read_recording, utterances
from provisioning.demo.asked import asked_of, difference
from provisioning.demo.call_records import CallRecords
from provisioning.demo.display import Display
from provisioning.demo.report import booking_of, recording_of, turns_of
from provisioning.demo.stored_object import look_at
from provisioning.lite.box import Box

TIMEZONE = "Europe/Berlin"
_ANSWER_SECONDS = 60
_POLL_SECONDS = 0.3


@dataclass
class DemoCall:
    """`index` tells calls apart that go on at once (`shown` is then given to the display)."""

    box: Box
    records: CallRecords
    display: Display
    index: int
    shown: int | None
    recording: Path | None = None
    rang_ns: int = 0
    _printed: dict[tuple[int, int], tuple[str, str]] = field(
        default_factory=dict[tuple[int, int], tuple[str, str]]
    )

    async def run(self) -> dict[str, Any]:
        """The call's part of the report. Unavailable, CallFailed when it could not be held."""
        async with SipCaller(user=f"{200 + self.index}", display="Demo caller") as caller:
            uri = f"sip:4930555010@127.0.0.1:{self.box.ports['asterisk']}"
            leg = await caller.call(uri, codec="g722")
            await leg.answered(_ANSWER_SECONDS)
            self.rang_ns = leg.ringing_ns or leg.answered_ns
            call_id: UUID = (await self.records.found(leg.call_id))["id"]
            async with self._live(call_id):
                await self._talk(leg, call_id)
        row = await self.records.finished(leg.call_id)
        return await self._collect(row, leg)

    async def _talk(self, leg: Leg, call_id: UUID) -> None:
        dialogue = Dialogue(leg, on_exchange=lambda exchange: self.display.latency(self.shown, exchange))
        self.dialogue = dialogue
        if self.recording is not None:
            pieces = utterances(read_recording(self.recording, leg.media.rate_hz), leg.media.rate_hz)
            await dialogue.play(pieces)
            return
        today = datetime.now(ZoneInfo(TIMEZONE)).date()
        persona = booking_caller(await self.records.booking_count() + self.index, today)
        await dialogue.converse(persona, lambda: self.records.agent_text(call_id))

    @contextlib.asynccontextmanager
    async def _live(self, call_id: UUID) -> AsyncGenerator[None]:
        """Prints the turns as the box stores them, and the rest at the end."""

        async def watch() -> None:
            while True:
                with contextlib.suppress(Unavailable):
                    await self._print_new(call_id)
                await asyncio.sleep(_POLL_SECONDS)

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            with contextlib.suppress(Unavailable):
                await self._print_new(call_id)

    async def _print_new(self, call_id: UUID) -> None:
        for turn in await self.records.turns(call_id):
            place = (turn["attempt"], turn["index"])
            before = self._printed.get(place, ("", ""))
            now = (turn["caller_text"], turn["agent_text"])
            for speaker, old, new in zip(("caller", "agent"), before, now, strict=True):
                if new != old:
                    self.display.said(self.shown, speaker, new.removeprefix(old).strip())
            self._printed[place] = now

    async def _collect(self, row: dict[str, Any], leg: Leg) -> dict[str, Any]:
        stored = await self.records.stored_recording(row["id"])
        seen = await look_at(self.box.settings.object_store, stored["bucket"], stored["object"])
        turns = turns_of(await self.records.turns(row["id"]), self.dialogue.exchanges)
        booking = booking_of(await self.records.bookings(row["id"]), TIMEZONE)
        # What is said in a recording is not known.
        said = [] if self.recording is not None else [each.said for each in self.dialogue.exchanges]
        asked = asked_of(said)
        return {
            "call_id": str(row["id"]),
            "sip_call_id": leg.call_id,
            "outcome": row["outcome"],
            "ended_by": row["ended_by"],
            "turns": turns,
            "false_cut_offs": sum(exchange.cut_off for exchange in self.dialogue.exchanges),
            "booking": booking,
            "asked": asked.as_json(),
            "booking_differs": difference(asked, booking),
            "recording": recording_of(stored, seen),
            "agent_seconds": round(await self._agent_seconds(row["id"]), 1),
            "seconds": round((leg.ended_ns - leg.answered_ns) / 1e9, 1),
            "answered_after_ms": round((leg.answered_ns - leg.invited_ns) / 1e6),
        }

    async def _agent_seconds(self, call_id: UUID) -> float:
        """How long the agent has spoken, by the transcript's times."""
        spoken = [row for row in await self.records.segments(call_id) if row["speaker"] == "agent"]
        return sum(row["ends_ms"] - row["starts_ms"] for row in spoken) / 1000


def seconds_since(began_ns: int, at_ns: int) -> float:
    """Between two times of the wall clock; never less than nothing."""
    return max(0.0, (at_ns - began_ns) / 1e9) if at_ns else time.time_ns() / 1e9 - began_ns / 1e9
