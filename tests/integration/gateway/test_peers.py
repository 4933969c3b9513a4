"""Who may call: by address, by password, over TLS; and nobody else."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl

import pytest

from provisioning.caller.leg import CallFailed
from provisioning.caller.user_agent import SipCaller
from runtime.sip.gateway import endpoint_name
from tests.fixtures.asterisk import RunningAsterisk
from tests.integration.gateway.conftest import (
    ACCOUNT,
    COMPANY,
    GATEWAY_BASE,
    LAB,
    PHONE,
    Apply,
    StandInBridge,
    number_at_gateway,
)

LOGIN = (ACCOUNT.username, ACCOUNT.password)


async def test_a_stranger_is_refused(apply: Apply) -> None:
    await apply(PHONE, COMPANY)
    names = ("stranger", endpoint_name(PHONE.id), endpoint_name(COMPANY.id), "transport-udp")
    for name in names:
        async with SipCaller(user=name) as caller:
            leg = await caller.call(number_at_gateway())
            assert await leg.final(20) == 401, name
            assert (await caller.options(number_at_gateway())).status == 401, name


async def test_the_right_password_is_let_in(apply: Apply, bridge: StandInBridge) -> None:
    await apply(PHONE, COMPANY)
    async with SipCaller(user=ACCOUNT.username, auth=LOGIN) as caller:
        leg = await caller.call(number_at_gateway())
        event = await bridge.next_start()
        assert event["args"] == ["inbound", str(PHONE.id)]
        await bridge.ari.hangup(event["channel"]["id"], 17)
        assert await leg.final(20) == 486


@pytest.mark.parametrize("trunks", [(PHONE,), (PHONE, LAB)], ids=["alone", "beside-a-trusted-address"])
async def test_a_wrong_password_is_refused(apply: Apply, trunks: tuple[object, ...]) -> None:
    await apply(*trunks)
    async with SipCaller(user=ACCOUNT.username, auth=(ACCOUNT.username, "wrong")) as caller:
        leg = await caller.call(number_at_gateway())
        assert await leg.final(20) == 401
        with pytest.raises(CallFailed) as refused:
            await caller.register(f"sip:127.0.0.1:{GATEWAY_BASE}", ACCOUNT.username, "wrong")
        assert refused.value.status == 401


async def test_an_account_registers_and_is_called(
    gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    await apply(PHONE, LAB)
    async with SipCaller(user=ACCOUNT.username, auth=LOGIN) as phone:
        await phone.register(f"sip:127.0.0.1:{GATEWAY_BASE}", *LOGIN)
        await bridge.ari.originate(
            f"PJSIP/{endpoint_name(PHONE.id)}",
            channel_id="leg-account",
            app_args="outbound",
            caller_id="4930555010",
            timeout_seconds=20,
        )
        leg = await phone.next_call(20)
        await leg.answer()
        event = await bridge.next_start()
        assert event["args"] == ["outbound"]
        await bridge.ari.hangup("leg-account")
        await leg.ended(20)
        await phone.register(f"sip:127.0.0.1:{GATEWAY_BASE}", *LOGIN, expires_seconds=0)


async def test_tcp(apply: Apply, bridge: StandInBridge) -> None:
    await apply(LAB)
    async with SipCaller(transport="tcp") as caller:
        leg = await caller.call(number_at_gateway() + ";transport=tcp")
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        await bridge.ari.hangup(channel)
        await leg.ended(20)


async def test_tls_shows_a_certificate_of_the_box(
    gateway: RunningAsterisk, apply: Apply, bridge: StandInBridge
) -> None:
    await apply(LAB)
    trusting = ssl.create_default_context(cafile=str(gateway.plan.directory / "tls" / "ca.crt"))
    target = f"sip:4930555010@127.0.0.1:{GATEWAY_BASE + 1};transport=tls"
    async with SipCaller(transport="tls", tls=trusting) as caller:
        leg = await caller.call(target)
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        await bridge.ari.hangup(channel)
        await leg.ended(20)
    async with SipCaller(transport="tls", tls=ssl.create_default_context()) as caller:
        leg = await caller.call(target)
        assert await leg.final(40) == 0


async def test_keys_arrive_by_both_ways(apply: Apply, bridge: StandInBridge) -> None:
    """RFC 4733 events in the media, and INFO requests."""
    await apply(LAB)
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway())
        channel = (await bridge.next_start())["channel"]["id"]
        await bridge.ari.answer(channel)
        await leg.answered(20)
        await leg.send_dtmf("7#")
        assert [(await bridge.next_event("ChannelDtmfReceived"))["digit"] for _ in "7#"] == ["7", "#"]
        assert await leg.send_info_dtmf("9") == 200
        assert (await bridge.next_event("ChannelDtmfReceived"))["digit"] == "9"
        await leg.hangup()


GARBAGE = (
    b"",
    b"\r\n\r\n",
    b"\x00" * 1400,
    b"INVITE",
    b"INVITE sip:1@127.0.0.1 SIP/2.0\r\n\r\n",
    b"INVITE sip:1@127.0.0.1 SIP/2.0\r\nContent-Length: -1\r\n\r\n",
    b"INVITE sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nContent-Length: 99999\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKnothing\r\nCSeq: 1 INVITE\r\n\r\n",
    b"SIP/7.0 9999 \xff\xfe\r\n\r\n",
    b"OPTIONS sip:" + b"a" * 3000 + b"@127.0.0.1 SIP/2.0\r\n\r\n",
    b'REGISTER sip:[::::] SIP/2.0\r\nFrom: <<<>>>;tag=;;\r\nTo: "\r\nCall-ID: \r\nCSeq: 4294967296 X\r\n\r\n',
)


async def test_garbage_on_the_sip_port_harms_nobody(gateway: RunningAsterisk, apply: Apply) -> None:
    await apply(LAB)
    pid, chance = gateway.pid, random.Random(5)
    valid = (
        b"INVITE sip:4930555010@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n"
        b"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: garbage\r\nCSeq: 1 INVITE\r\n"
        b"Contact: <sip:a@127.0.0.1:9>\r\nContent-Type: application/sdp\r\nContent-Length: 12\r\n\r\n"
        b"v=0\r\nm=audio"
    )
    mutants = []
    for _ in range(300):
        mutant = bytearray(valid)
        for _ in range(chance.randrange(1, 12)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        mutants.append(bytes(mutant[: chance.randrange(1, len(mutant) + 1)]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in (*GARBAGE, *mutants):
            sender.sendto(packet, ("127.0.0.1", GATEWAY_BASE))
    for packet in (*GARBAGE, *mutants[:20]):
        _, writer = await asyncio.open_connection("127.0.0.1", GATEWAY_BASE)
        writer.write(packet)
        writer.close()
    async with SipCaller() as caller:
        assert (await caller.options(number_at_gateway(), timeout_seconds=30)).status == 200
    assert gateway.running
    assert gateway.pid == pid
