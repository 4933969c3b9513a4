"""The bridge loses Asterisk's REST interface and its events for a while: calls in progress go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call
from tests.fixtures.relay import Relay
from tests.integration.bridge.conftest import bridge_state, nothing_is_left
from tests.integration.bridge.room_agent import Agents, until
from tests.integration.bridge.test_calls import conversation, ended


@pytest.fixture(scope="module")
async def line(box: Box) -> AsyncIterator[Relay]:
    """The bridge reaches Asterisk by this line only."""
    await asyncio.to_thread(box.start, "bridge")
    usual = dict(box.overrides)
    async with Relay(box.ports["ari"]) as line:
        box.overrides["gateway.ari_url"] = f"http://127.0.0.1:{line.port}"
        box.prepare()
        await asyncio.to_thread(box.restart, "bridge")
        yield line
        line.mend()
        box.overrides.clear()
        box.overrides |= usual
        box.prepare()
        await asyncio.to_thread(box.restart, "bridge")


def _ready(box: Box) -> bool:
    return bool(box.status()["bridge"]["ready"])


async def test_a_call_goes_on_without_asterisks_events(line: Relay, box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        line.cut()
        await until(lambda: asyncio.to_thread(lambda: not _ready(box)))
        said = await call.leg.speak("do you still hear me")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)
        line.mend()
        await until(lambda: asyncio.to_thread(_ready, box))
        await call.leg.send_dtmf("8")
        await until(lambda: agent.digits == ["8"])
        assert await agent.rpc("trunkline.hangup", {"reason": "done"}) == {}
        await call.leg.ended()


async def test_a_caller_who_left_unseen_is_noticed_at_the_reconnect(
    line: Relay, box: Box, agents: Agents
) -> None:
    async with place_call(box, start=False) as call:
        await conversation(call, agents)
        line.cut()
        await until(lambda: asyncio.to_thread(lambda: not _ready(box)))
        await call.leg.hangup()
        assert (await asyncio.to_thread(bridge_state, box))["calls"]
        line.mend()
        await ended(call)
    await nothing_is_left(box)
