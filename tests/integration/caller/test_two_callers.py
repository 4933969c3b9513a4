"""Two callers talk to each other over real sockets: signalling, media, hold, digits, refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from appliance.errors import InvalidInput, Unavailable
from provisioning.caller import CallFailed, Leg, SipCaller
from provisioning.caller.sip_message import Request, Response, parse


@pytest.fixture(params=["udp", "tcp"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[SipCaller, SipCaller]]:
    async with (
        SipCaller(transport=request.param) as one,
        SipCaller(transport=request.param, user="other") as two,
    ):
        yield one, two


async def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.02)


async def connect(one: SipCaller, two: SipCaller, codec: str = "ulaw") -> tuple[Leg, Leg]:
    leg = await one.call(two.contact, codec=codec)
    other = await two.next_call()
    await leg.rings()
    await other.answer()
    await leg.answered()
    return leg, other


@pytest.mark.parametrize("codec", ["ulaw", "alaw", "g722"])
async def test_speech_arrives_as_it_was_said(codec: str) -> None:
    async with SipCaller() as one, SipCaller() as two:
        leg, other = await connect(one, two, codec)
        utterance = await leg.speak("I would like to book an appointment")
        begin, end = utterance.first_speech_ns, utterance.last_speech_ns + 100_000_000
        await eventually(lambda: other.heard.packets[-1].at_ns > end)
        said, heard = leg.said.pcm(begin, end).astype(float), other.heard.pcm(begin, end).astype(float)
        size = min(len(said), len(heard))
        lags = np.correlate(heard[:size], said[:size], "full")
        score = lags.max() / (np.linalg.norm(said) * np.linalg.norm(heard))
        assert score > 0.95
        assert len(other.heard.speech(gap_ms=2000)) == 1
        await leg.hangup()
        await other.ended()
        assert (leg.ended_by, other.ended_by) == ("us", "them")


async def test_hold_resume_and_digits(pair: tuple[SipCaller, SipCaller]) -> None:
    leg, other = await connect(*pair)
    await leg.hold()
    assert other.held_by_them
    await leg.resume()
    assert not other.held_by_them
    await other.hold()
    assert leg.held_by_them
    await other.resume()
    await leg.send_dtmf("12#A")
    await eventually(lambda: other.digits == list("12#A"))
    await other.send_info_dtmf("7")
    assert leg.info_digits == ["7"]
    await other.hangup()
    await leg.ended()
    assert leg.ended_by == "them"


async def test_refusal_redirect_and_unknown_codec(pair: tuple[SipCaller, SipCaller]) -> None:
    one, two = pair
    leg = await one.call(two.contact)
    (await two.next_call()).refuse(503, headers=(("Retry-After", "7"),))
    assert await leg.final() == 503
    assert leg.headers.get("Retry-After") == "7"
    leg = await one.call(two.contact)
    (await two.next_call()).refuse(302, headers=(("Contact", "<sip:overflow@127.0.0.1>"),))
    with pytest.raises(CallFailed) as refused:
        await leg.answered()
    assert refused.value.status == 302
    two.codecs = ["alaw"]
    leg = await one.call(two.contact, codec="ulaw")
    with pytest.raises(InvalidInput):
        await (await two.next_call()).answer()
    assert await leg.final() == 488
    assert not one.legs
    assert not two.legs


async def test_cancel_before_the_answer(pair: tuple[SipCaller, SipCaller]) -> None:
    one, two = pair
    leg = await one.call(two.contact)
    other = await two.next_call()
    await leg.rings()
    await leg.hangup()
    await other.ended()
    assert (leg.final_status, other.final_status) == (487, 487)


async def test_nobody_there_is_told_as_such() -> None:
    async with SipCaller(transport="tcp") as one:
        leg = await one.call("sip:x@127.0.0.1:9")
        assert await leg.final() == 0
        with pytest.raises(Unavailable):
            await one.options("sip:x@127.0.0.1:9")


async def test_digest_answers_a_challenge() -> None:
    """A registrar that checks the response with its own arithmetic."""
    import hashlib
    import re

    asked: list[Request] = []

    class Registrar(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            request = parse(data)
            assert isinstance(request, Request)
            asked.append(request)
            response = Response(status=401, reason="Unauthorized")
            for name in ("Via", "From", "To", "Call-ID", "CSeq"):
                response.headers.add(name, request.headers.get(name))
            if given := request.headers.get("Authorization"):
                field = dict(re.findall(r'(\w+)="?([^",]+)', given))
                one = hashlib.md5(b"alice:lab:secret").hexdigest()
                two = hashlib.md5(f"REGISTER:{request.uri}".encode()).hexdigest()
                text = f"{one}:n0:{field['nc']}:{field['cnonce']}:auth:{two}"
                if field["response"] == hashlib.md5(text.encode()).hexdigest():
                    response.status, response.reason = 200, "OK"
                    response.headers.add("Expires", "40")
            else:
                response.headers.add("WWW-Authenticate", 'Digest realm="lab", nonce="n0", qop="auth"')
            self.transport.sendto(response.encode(), addr)  # type: ignore[attr-defined]

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Registrar, ("127.0.0.1", 0))
    uri = f"sip:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    try:
        async with SipCaller() as caller:
            assert await caller.register(uri, "alice", "secret") == 40
            with pytest.raises(CallFailed) as refused:
                await caller.register(uri, "alice", "wrong")
            assert refused.value.status == 401
    finally:
        transport.close()
    assert [request.cseq[0] for request in asked] == [1, 2, 1, 2]
