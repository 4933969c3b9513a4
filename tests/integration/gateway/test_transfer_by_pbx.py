"""Telephones of the PBX hold our call and hand it on; our side sees hold and resume and keeps its channel."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from provisioning.caller import Leg, SipCaller
from runtime.sip.gateway import FALLBACK_CONTEXT
from tests.fixtures.asterisk import RunningAsterisk
from tests.fixtures.pbx import CompanyPbx
from tests.integration.gateway.conftest import COMPANY, Apply, StandInBridge, until


async def refer(phone: SipCaller, leg: Leg, target: str) -> None:
    """Asks the PBX to hand on the other side of `leg` (RFC 3515)."""
    request = leg.next_request("REFER")
    request.headers.add("Refer-To", f"<{target}>")
    answer = await phone.transact(request, leg)
    assert answer.status == 202


@pytest.mark.parametrize("mode", ["blind", "attended"])
async def test_a_held_call_is_handed_on(
    pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge, mode: str
) -> None:
    await apply(COMPANY)
    async with pbx.telephone("201") as colleague, pbx.telephone("202") as phone:
        leg = await phone.call(f"sip:4930555010@{pbx.address}")
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        await leg.hold()
        assert (await bridge.next_event("ChannelHold"))["channel"]["id"] == channel
        if mode == "blind":
            await refer(phone, leg, f"sip:201@{pbx.address}")
            theirs = await colleague.next_call(20)
            await theirs.answer()
        else:
            inquiry = await phone.call(f"sip:201@{pbx.address}")
            theirs = await colleague.next_call(20)
            await theirs.answer()
            await inquiry.answered(20)
            replaces = f"{inquiry.call_id};to-tag={inquiry.remote_tag};from-tag={inquiry.local_tag}"
            await refer(phone, leg, f"sip:201@{pbx.address}?Replaces={quote(replaces, safe='')}")
        assert (await bridge.next_event("ChannelUnhold"))["channel"]["id"] == channel
        assert [found["id"] for found in gateway.channels()] == [channel]
        await bridge.ari.continue_in_dialplan(channel, FALLBACK_CONTEXT, "s")
        await theirs.hears_speech(20)
        await theirs.hangup()
    await until(lambda: gateway.channels() == [], "no channel is left")
