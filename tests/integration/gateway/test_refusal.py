"""The bridge refuses a call with the SIP answer that it means, and sees what it needs of each call."""

from __future__ import annotations

import pytest

from provisioning.caller.user_agent import SipCaller
from runtime.sip.gateway import FALLBACK_CONTEXT, REFUSE_CONTEXT
from tests.fixtures.asterisk import RunningAsterisk
from tests.integration.gateway.conftest import LAB, Apply, StandInBridge, number_at_gateway, until

REFUSALS = {
    "404": ("404", {}, 1),
    "403": ("403", {}, 21),
    "486": ("486", {}, 17),
    "503": ("503", {"TRUNKLINE_RETRY_AFTER": "17"}, 34),
    "503-without-seconds": ("503", {}, 34),
    "503-with-rubbish": ("503", {"TRUNKLINE_RETRY_AFTER": "9\r\nEvil: yes"}, 34),
    "302": ("302", {"TRUNKLINE_CONTACT": "sip:900@192.0.2.9:5070"}, None),
    "302-without-contact": ("302", {}, None),
    "480": ("480", {}, None),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_reaches_the_caller(apply: Apply, bridge: StandInBridge, case: str) -> None:
    extension, variables, cause = REFUSALS[case]
    await apply(LAB)
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway())
        channel = (await bridge.next_start())["channel"]["id"]
        for name, value in variables.items():
            await bridge.ari.set_variable(channel, name, value)
        await bridge.ari.continue_in_dialplan(channel, REFUSE_CONTEXT, extension)
        status = await leg.final(20)
        assert leg.headers is not None
        if case == "302-without-contact":
            assert status == 503
        else:
            assert status == int(extension)
        if case == "302":
            assert "sip:900@192.0.2.9:5070" in leg.headers.get("Contact")
        retry_after = {"503": "17", "503-without-seconds": "5", "503-with-rubbish": "9"}.get(case, "")
        assert leg.headers.get("Retry-After") == retry_after
        assert leg.headers.get("Evil") == ""
        if cause is not None:
            assert f"Q.850;cause={cause}" in leg.headers.get("Reason")


async def test_the_bridge_learns_trunk_number_caller_and_call_id(apply: Apply, bridge: StandInBridge) -> None:
    await apply(LAB)
    async with SipCaller(user="+49305551234") as caller:
        leg = await caller.call(number_at_gateway("+4930555010"))
        event = await bridge.next_start()
        channel = event["channel"]
        assert event["args"] == ["inbound", str(LAB.id)]
        assert channel["dialplan"]["exten"] == "+4930555010"
        assert channel["caller"]["number"] == "+49305551234"
        assert channel["channelvars"]["TRUNKLINE_SIP_CALL_ID"] == leg.call_id
        await bridge.ari.hangup(channel["id"])
        assert await leg.final(20) >= 400


async def test_a_dialled_user_cannot_write_into_the_dialplan(apply: Apply, bridge: StandInBridge) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway("1%2C2)%24%7BSHELL(id)%7D%2Ctrunkline-fallback"))
        event = await bridge.next_start()
        assert event["args"] == ["inbound", str(LAB.id)]
        await bridge.ari.hangup(event["channel"]["id"])
        assert await leg.final(20) >= 400


async def test_a_call_in_progress_can_be_given_to_the_fallback(
    gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway())
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        await bridge.ari.continue_in_dialplan(channel, FALLBACK_CONTEXT, "s")
        await leg.hears_speech(20)
        await leg.ended(40)
    await until(lambda: gateway.channels() == [], "no channel is left")


async def test_health_is_asked_by_options(
    gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        answer = await caller.options(number_at_gateway("health"))
        assert answer.status == 200
