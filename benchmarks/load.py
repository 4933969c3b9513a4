"""Several callers at once, each with the same number of turns; every turn timed on the caller's own RTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from appliance.errors import TrunklineError
from provisioning.caller import SipCaller
from provisioning.caller.codecs import Samples
from provisioning.caller.dialogue import Dialogue, Exchange
from provisioning.caller.persona import booking_caller
from provisioning.caller.voice import read_recording, say
from provisioning.demo.call_records import CallRecords, Row
from provisioning.demo.report import turns_of
from provisioning.lite.box import Box

_NUMBER = "4930555010"
_STAGGER_SECONDS = 0.7
_RATE_HZ = 16_000
"""Of G.722: as PBX and telephones of one house speak to each other."""
_RECORDED_RATE_HZ = 8000
_WANTED_SECONDS = (1.2, 4.0)
_MOST_RECORDINGS = 12
_RECORDED = Path("/usr/share/asterisk/sounds")


@dataclass
class CallResult:
    """One caller's call: its exchanges on the wire, the turns that the box stored, or why it failed."""

    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    turns: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answer_ms: float | None = None
    outcome: str | None = None
    failure: str = ""

    @property
    def latencies_ms(self) -> list[float]:
        return [one.latency_ms for one in self.exchanges if one.latency_ms is not None]


def recorded_speech() -> list[Path]:
    """People's recorded sentences (Debian's asterisk-core-sounds) of fitting length, if there are any."""
    found: list[Path] = []
    for path in sorted(_RECORDED.glob("en*/*.wav")):
        seconds = path.stat().st_size / (2 * _RECORDED_RATE_HZ)
        if _WANTED_SECONDS[0] <= seconds <= _WANTED_SECONDS[1]:
            found.append(path)
    step = max(1, len(found) // _MOST_RECORDINGS)
    return found[::step][:_MOST_RECORDINGS]


async def lines(recordings: list[Path], count: int) -> list[Samples]:
    """So many utterances: people's, or flite's when no recording is there."""
    if recordings:
        return [read_recording(recordings[index % len(recordings)], _RATE_HZ) for index in range(count)]
    return [await say("I would like to book an appointment please", _RATE_HZ)] * count


async def callers(
    box: Box, records: CallRecords, count: int, turns: int, *, scripted: bool
) -> list[CallResult]:
    """`count` calls at once. `scripted`: `turns` fixed utterances each; else each books an appointment."""
    today = datetime.now(ZoneInfo("Europe/Berlin")).date()
    first = await records.booking_count()
    speech = await lines(recorded_speech(), turns) if scripted else []

    async def one(index: int) -> CallResult:
        await asyncio.sleep(index * _STAGGER_SECONDS)
        result = CallResult()
        try:
            async with SipCaller(user=f"{300 + index}") as caller:
                uri = f"sip:{_NUMBER}@127.0.0.1:{box.ports['asterisk']}"
                leg = await caller.call(uri, codec="g722")
                await leg.answered(60)
                result.answer_ms = (leg.answered_ns - leg.invited_ns) / 1e6
                call_id = (await records.found(leg.call_id))["id"]
                dialogue = Dialogue(leg)
                if scripted:
                    await dialogue.greeting()
                    for line in speech:
                        await dialogue.say(line)
                    await leg.hangup()
                else:
                    persona = booking_caller(first + index, today)
                    await dialogue.converse(
                        persona, lambda: records.agent_text(call_id), most_turns=turns + 6
                    )
                result.exchanges = dialogue.exchanges
            row: Row = await records.finished(leg.call_id)
            result.outcome = row["outcome"]
            result.turns = turns_of(await records.turns(call_id), result.exchanges)
        except TrunklineError as error:
            result.failure = str(error)
        return result

    return list(await asyncio.gather(*(one(index) for index in range(count))))
