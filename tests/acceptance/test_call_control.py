"""Calls that outlive the loss of their worker, and callers who are not left alone when the bridge dies."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from appliance.errors import Unavailable
from provisioning.lite.box import Box
from tests.fixtures.calls import PlacedCall, place_call

_TRIES = 5


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


async def test_a_call_goes_on_after_its_worker_was_killed(box: Box) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        killed_ns = time.time_ns()
        box.kill("worker")
        await call.leg.hears_speech(60, since_ns=killed_ns)
        # The supervisor starts the worker again, and its agent takes the conversation up.
        await until_talking(box)
        await call.leg.hears_quiet(2, 60)
        for _ in range(_TRIES):
            await call.dialogue.say("what times do you have")
            if await later_turns(call):
                break
        assert await later_turns(call)
        assert not call.leg.over.is_set()
        await call.leg.hangup()
        assert (await call.finished())["attempt"] > 1


async def test_a_killed_bridge_leaves_no_caller_in_silence_and_takes_new_calls(box: Box) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        killed_ns = time.time_ns()
        box.kill("bridge")
        await call.leg.hears_speech(60, since_ns=killed_ns)
        await call.leg.ended(60)
    for _ in range(_TRIES):
        async with place_call(box) as call:
            try:
                await call.leg.answered(60)
            except Unavailable:
                continue
            await call.dialogue.greeting()
            return
    raise AssertionError("no call was answered after the bridge had been killed")
