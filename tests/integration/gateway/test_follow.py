"""The trunks follow the tool API while calls go on; a broken tool API or gateway changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from appliance.errors import TrunklineError, Unavailable
from appliance.settings import Settings
from appliance.telephony.domain import GatewayConfiguration
from provisioning.caller.user_agent import SipCaller
from runtime.sip.ari import AriClient
from runtime.sip.gateway import run
from tests.fixtures.asterisk import RunningAsterisk
from tests.integration.gateway.conftest import (
    LAB,
    PHONE,
    StandInBridge,
    number_at_gateway,
    until,
    world,
)


class ChangingToolApi:
    """Says what a test puts into it, or fails as it is told to, which no healthy tool API does."""

    def __init__(self) -> None:
        self.answer: GatewayConfiguration | TrunklineError = world(LAB)
        self.asked = 0

    async def gateway(self) -> GatewayConfiguration:
        self.asked += 1
        if isinstance(self.answer, TrunklineError):
            raise self.answer
        return self.answer


class Following:
    def __init__(self) -> None:
        self.tool_api = ChangingToolApi()
        self.accepting = True

    async def asked_again(self) -> None:
        """Waits for two whole rounds from now."""
        before = self.tool_api.asked
        await until(lambda: self.tool_api.asked >= before + 3, "the tool API is asked again")


@pytest.fixture
async def following(settings: Settings, ari: AriClient) -> AsyncIterator[Following]:
    state = Following()
    task = asyncio.create_task(run(settings, ari, state.tool_api, accepting=lambda: state.accepting))
    await state.asked_again()
    yield state
    assert not task.done(), "following ended by itself"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def options(user: str = "4930555010") -> int:
    async with SipCaller() as caller:
        return (await caller.options(number_at_gateway(user))).status


async def test_trunks_change_under_a_call_in_progress(
    gateway: RunningAsterisk, following: Following, bridge: StandInBridge
) -> None:
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway())
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        following.tool_api.answer = world(PHONE)
        await until(lambda: _is(options(), 401), "the trunk is gone")
        assert not leg.over.is_set()
        assert [found["id"] for found in gateway.channels()] == [channel]
        following.tool_api.answer = world(PHONE, LAB)
        await until(lambda: _is(options(), 200), "the trunk is back")
        assert not leg.over.is_set()
        await leg.hangup()
        await leg.ended(20)
    await until(lambda: gateway.channels() == [], "no channel is left")


async def test_a_broken_tool_api_keeps_the_last_configuration(following: Following) -> None:
    following.tool_api.answer = Unavailable("The tool API does not answer.")
    await following.asked_again()
    assert await options() == 200


async def test_a_wrong_trunk_does_not_take_the_others_with_it(following: Following) -> None:
    wrong = LAB.model_copy(update={"id": UUID(int=9), "host": "evil\n[global]", "match": ("127.0.0.9",)})
    following.tool_api.answer = world(wrong, LAB)
    await following.asked_again()
    assert await options() == 200


async def test_nothing_is_loaded_without_a_change(gateway: RunningAsterisk, following: Following) -> None:
    await following.asked_again()
    before = gateway.ari("GET", "/asterisk/info", only="status")["status"]["last_reload_time"]
    await following.asked_again()
    await asyncio.sleep(1.1)
    await following.asked_again()
    assert gateway.ari("GET", "/asterisk/info", only="status")["status"]["last_reload_time"] == before


async def test_options_follow_health(following: Following, bridge: StandInBridge) -> None:
    await until(lambda: _is(options("health"), 200), "the gateway says that it is well")
    following.accepting = False
    await until(lambda: _is(options("health"), 404), "the gateway says that it takes no calls")
    assert await options() == 200
    following.accepting = True
    await until(lambda: _is(options("health"), 200), "the gateway is well again")


async def test_what_changed_while_the_gateway_was_down_is_loaded(
    gateway: RunningAsterisk, following: Following
) -> None:
    gateway.stop()
    following.tool_api.answer = world(PHONE)
    await following.asked_again()
    gateway.start()
    await until(lambda: _is(options(), 401), "the change has come through")


async def _is(asked: object, wanted: int) -> bool:
    return await asked == wanted  # type: ignore[misc]
