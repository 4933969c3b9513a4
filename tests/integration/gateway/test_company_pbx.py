"""A real PBX on the other side: by address, by registration, in the clear and encrypted, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import TrunklineError, Unavailable
from appliance.telephony.domain import Credentials, Number, Trunk
from provisioning.caller.user_agent import SipCaller
from provisioning.lite.asterisk_certificates import make_certificates
from runtime.sip.ari import AriClient
from runtime.sip.gateway import FALLBACK_CONTEXT, endpoint_name
from tests.fixtures.asterisk import RunningAsterisk
from tests.fixtures.pbx import CompanyPbx
from tests.integration.gateway.conftest import (
    COMPANY,
    NUMBER,
    PBX_BASE,
    Apply,
    StandInBridge,
    until,
)

OWN_NUMBER = Number(number="+4930555020", trunk_id=COMPANY.id)
SECURE = COMPANY.model_copy(update={"transport": "tls", "port": PBX_BASE + 1})


def through(pbx: CompanyPbx, number: str) -> str:
    return f"sip:{number}@{pbx.address}"


def registering(pbx: CompanyPbx, *proxies: str, password: str | None = None) -> Trunk:
    """A trunk that registers at the PBX with the gateway's account there."""
    gateway = pbx.gateway
    auth = Credentials(username=gateway.account, password=password or gateway.password)
    return COMPANY.model_copy(
        update={"auth": auth, "register_at_host": True, "outbound_proxies": proxies, "match": ()}
    )


async def dial(ari: AriClient, extension: str, channel_id: str) -> None:
    """Calls an extension of the PBX by the company's trunk."""
    await ari.originate(
        f"PJSIP/{extension}@{endpoint_name(COMPANY.id)}",
        channel_id=channel_id,
        app_args="outbound",
        caller_id="4930555010",
        timeout_seconds=20,
    )


async def rings(ari: AriClient, gateway: RunningAsterisk, phone: SipCaller) -> bool:
    """Whether a call that we place reaches the telephone before it fails."""
    try:
        await dial(ari, "202", "leg-secure")
    except Unavailable:  # known to be out of reach already
        return False
    failed = asyncio.create_task(until(lambda: gateway.channels() == [], "the call has failed"))
    rang = asyncio.create_task(phone.next_call(40))
    await asyncio.wait((failed, rang), return_when=asyncio.FIRST_COMPLETED)
    for task in (failed, rang):
        task.cancel()
    await asyncio.gather(failed, rang, return_exceptions=True)
    with contextlib.suppress(TrunklineError):
        await ari.hangup("leg-secure")
    await until(lambda: gateway.channels() == [], "the call is over")
    return not rang.cancelled()


@contextlib.contextmanager
def another_name(pbx: CompanyPbx, place: Path) -> Iterator[None]:
    """The PBX shows a certificate of its own authority that is good for another name than we call."""
    tls = pbx.plan.directory / "tls"
    for name in ("ca.crt", "ca.key"):
        shutil.copy(tls / name, place / name)
    make_certificates(place, "pbx.example")
    original, configure = {}, pbx.configure
    for name in ("gateway.crt", "gateway.key"):
        original[name] = (tls / name).read_bytes()
    pbx.configure = lambda: None  # type: ignore[method-assign]
    try:
        for name in original:
            (tls / name).write_bytes((place / name).read_bytes())
        pbx.restart()
        yield
    finally:
        pbx.configure = configure  # type: ignore[method-assign]
        for name, content in original.items():
            (tls / name).write_bytes(content)
        pbx.restart()


async def registered(pbx: CompanyPbx) -> bool:
    return pbx.gateway.account in pbx.console("pjsip show contacts")


async def test_an_extension_calls_by_the_trunk(pbx: CompanyPbx, apply: Apply, bridge: StandInBridge) -> None:
    await apply(COMPANY)
    async with pbx.telephone("201") as phone:
        leg = await phone.call(through(pbx, "4930555010"))
        event = await bridge.next_start()
        assert event["args"] == ["inbound", str(COMPANY.id)]
        assert event["channel"]["caller"]["number"] == "201"
        await bridge.ari.hangup(event["channel"]["id"], 17)
        assert await leg.final(20) == 486


async def test_a_call_goes_out_to_an_extension(
    pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    await apply(COMPANY)
    async with pbx.telephone("202") as phone:
        await dial(bridge.ari, "202", "leg-out")
        leg = await phone.next_call(20)
        assert "4930555010" in leg.headers.get("From")
        await leg.answer()
        assert (await bridge.next_start())["channel"]["id"] == "leg-out"
        await leg.hangup()
    await until(lambda: gateway.channels() == [], "no channel is left")


@pytest.mark.parametrize(
    ("srtp", "number", "heard"),
    [
        ("required", "74930555010", True),
        ("optional", "74930555010", True),
        ("optional", "4930555010", True),
        ("required", "4930555010", False),
        ("off", "74930555010", False),
    ],
)
async def test_srtp(pbx: CompanyPbx, apply: Apply, srtp: str, number: str, heard: bool) -> None:
    """Over TLS with keys in the description (7...), or in the clear: only what the trunk allows is heard."""
    await apply(COMPANY.model_copy(update={"srtp": srtp}))
    async with pbx.telephone("201") as phone:
        leg = await phone.call(through(pbx, number))
        if heard:
            await leg.answered(20)
            await leg.hears_speech(20)
            await leg.hangup()
        else:
            assert await leg.final(20) >= 400


async def test_opus(pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge) -> None:
    """The PBX offers Opus alone, and its extension is heard: Asterisk's Opus codec is there and works."""
    await apply(COMPANY.model_copy(update={"codecs": ("opus", "alaw")}))
    async with pbx.telephone("201") as phone:
        leg = await phone.call(through(pbx, "84930555010"))
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        assert "opus" in gateway.console("pjsip show channelstats")
        await bridge.ari.continue_in_dialplan(channel, FALLBACK_CONTEXT, "s")
        await leg.hears_speech(20)
        await leg.hangup()


async def test_a_registration_stands_by_the_second_proxy_when_the_first_is_dead(
    pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    trunk = registering(pbx, "sip:127.0.0.9:9", f"sip:{pbx.address}")
    await apply(trunk, numbers=(NUMBER, OWN_NUMBER))
    await until(lambda: registered(pbx), "the gateway is registered at the PBX")
    async with pbx.telephone("201") as phone:
        for dialled, reached in (("64930555010", "4930555010"), ("600", "+4930555020")):
            leg = await phone.call(through(pbx, dialled))
            event = await bridge.next_start()
            assert event["args"] == ["inbound", str(trunk.id)]
            assert event["channel"]["dialplan"]["exten"] == reached
            await bridge.ari.hangup(event["channel"]["id"], 17)
            assert await leg.final(20) == 486

        await until(
            lambda: "Unavail" in gateway.console("pjsip show contacts"),
            "the gateway knows that the first proxy is dead",
        )
        await dial(bridge.ari, "201", "leg-by-proxy")
        ringing = await phone.next_call(20)
        await bridge.ari.hangup("leg-by-proxy")
        await ringing.ended(20)
    await apply()


async def test_a_wrong_password_does_not_register(
    pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply
) -> None:
    await apply(registering(pbx, password="wrong"))
    await until(
        lambda: "Rejected" in gateway.console("pjsip show registrations"), "the PBX refuses the registration"
    )
    await apply()


async def test_the_certificate_of_the_pbx_is_checked_with_its_name(
    pbx: CompanyPbx, gateway: RunningAsterisk, apply: Apply, ari: AriClient, tmp_path: Path
) -> None:
    """Unknown authority: no call. Known authority: a call. Known authority, another name: no call."""
    trusted = gateway.plan.directory / "tls" / "trusted.pem"
    before = trusted.read_bytes()
    async with pbx.telephone("202") as phone:
        await apply(SECURE)
        assert not await rings(ari, gateway, phone)
    try:
        trusted.write_bytes(before + (pbx.plan.directory / "tls" / "ca.crt").read_bytes())
        gateway.restart()
        async with pbx.telephone("202") as phone:
            assert await rings(ari, gateway, phone)
        with another_name(pbx, tmp_path):
            async with pbx.telephone("202") as phone:
                assert not await rings(ari, gateway, phone)
    finally:
        trusted.write_bytes(before)
        gateway.restart()
