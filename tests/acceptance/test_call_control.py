"""Calls that outlive the loss of their worker, and callers who are not left alone when the bridge dies."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from appliance.errors import TrunklineError
from provisioning.lite.box import Box
from runtime.sip.call_events import TEMPORARY_FAILURE
from tests.acceptance.conftest import Measured
from tests.acceptance.test_after_many_calls import clean
from tests.fixtures.calls import PlacedCall, place_call

_TRIES = 5
_FIRST_SENTENCE_SECONDS = 3.0
_LONGEST_SILENCE_SECONDS = 4.0
_NEW_CALLS_SECONDS = 5.0


def phases(box: Box) -> list[str]:
    """The phases of the bridge's calls."""
    token = box.settings.tool_api.service_token.reveal()
    answer = httpx.get(
        f"http://127.0.0.1:{box.settings.bridge.health_port}/calls",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    answer.raise_for_status()
    return [call["phase"] for call in answer.json()["calls"]]


async def until_talking(box: Box, timeout: float = 90) -> None:
    async with asyncio.timeout(timeout):
        while phases(box) != ["talking"]:  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.1)


async def later_turns(call: PlacedCall) -> list[dict[str, Any]]:
    """What was said with an agent that is not the first."""
    return [turn for turn in await call.turns() if turn["attempt"] > 1 and turn["agent_text"]]


async def first_recording_stored(call: PlacedCall) -> None:
    """What the killed worker had recorded is sealed and stored while the caller still talks to the next."""
    async with asyncio.timeout(120):
        while True:
            first = (await call.records.recordings(await call.id()))[0]
            if first["state"] == "stored":
                break
            await asyncio.sleep(0.2)
    assert first["attempt"] == 1
    assert first["seconds"] >= 3


async def test_a_call_goes_on_after_its_worker_was_killed(box: Box, measured: Measured) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        killed_ns = time.time_ns()
        box.kill("worker")
        heard_ns = await call.leg.hears_speech(60, since_ns=killed_ns)
        # The supervisor starts the worker again, and its agent takes the conversation up.
        await until_talking(box)
        silence = call.longest_silence(killed_ns, await call.leg.hears_speech(60))
        await call.leg.hears_quiet(2, 60)
        for _ in range(_TRIES):
            await call.dialogue.say("what times do you have")
            if await later_turns(call):
                break
        assert await later_turns(call)
        assert not call.leg.over.is_set()
        await first_recording_stored(call)
        await call.leg.hangup()
        assert (await call.finished())["attempt"] > 1
        assert (await call.stored_recording())["attempt"] > 1
        left = await clean(box, call.records)
        assert not left, left
    measured("from the worker's death to a sentence", (heard_ns - killed_ns) / 1e9, _FIRST_SENTENCE_SECONDS)
    measured("longest silence until the next worker speaks", silence, _LONGEST_SILENCE_SECONDS)


async def test_a_killed_bridge_leaves_no_caller_in_silence_and_takes_new_calls(
    box: Box, measured: Measured
) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        killed_ns = time.time_ns()
        box.kill("bridge")
        served = asyncio.create_task(_next_served_call(box))
        heard_ns = await call.leg.hears_speech(60, since_ns=killed_ns)
        await call.leg.ended(60)
        silence = call.longest_silence(killed_ns, call.leg.ended_ns)
        served_ns = await served
        # The next bridge has found what the killed one left, and reported the call in its stead.
        assert (await call.finished())["q850_cause"] == TEMPORARY_FAILURE
        left = await clean(box, call.records)
        assert not left, left
    measured("from the bridge's death to a sentence", (heard_ns - killed_ns) / 1e9, _FIRST_SENTENCE_SECONDS)
    measured("longest silence after the bridge's death", silence, _LONGEST_SILENCE_SECONDS)
    measured("from its death to the next served call", (served_ns - killed_ns) / 1e9, _NEW_CALLS_SECONDS)


async def _next_served_call(box: Box) -> int:
    """Dials until an agent greets, not the gateway's own sentence; when that call was placed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        placed_ns = time.time_ns()
        async with place_call(box, start=False) as call:
            try:
                await call.leg.answered(60)
            except TrunklineError:
                continue
            if await call.row():
                await call.dialogue.greeting()
                return placed_ns
        await asyncio.sleep(0.2)
    raise AssertionError("no call was served after the bridge had been killed")
