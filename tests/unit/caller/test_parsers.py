"""The SIP and SDP parsers answer garbage with InvalidInput and nothing else, and read what they wrote."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from provisioning.caller import sdp
from provisioning.caller.digest import authorization, parse_challenge
from provisioning.caller.rtp import pack_rtp, unpack_rtp
from provisioning.caller.sip_message import NameAddress, Request, Response, SipUri, StreamFramer, parse

INVITE = (
    b"INVITE sip:4930555010@127.0.0.1:5060 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bKabc;rport\r\n"
    b'f: "A \\"quoted\\" <name>" <sip:100@127.0.0.1>;tag=1\r\n'
    b"t: <sip:4930555010@127.0.0.1>\r\ni: abc\r\nCSeq: 7 INVITE\r\nSubject: long\r\n  folded\r\n"
    b"l: 4\r\n\r\nbodyMORE"
)
property_test = settings(deadline=None, derandomize=True, max_examples=300)


def test_a_message_is_read() -> None:
    message = parse(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.branch, message.call_id, message.cseq) == (
        "INVITE",
        "z9hG4bKabc",
        "abc",
        (7, "INVITE"),
    )
    assert message.body == b"body"
    assert message.headers.get("Subject") == "long folded"
    assert NameAddress.parse(message.headers.get("From")).display == 'A "quoted" <name>'
    assert (message.from_tag, message.to_tag) == ("1", "")
    again = parse(message.encode())
    assert list(again.headers)[:-1] == [item for item in message.headers if item[0] != "l"]


@property_test
@given(st.binary(max_size=400))
def test_noise_is_refused(data: bytes) -> None:
    for reader in (parse, sdp.parse, StreamFramer().feed):
        with contextlib.suppress(InvalidInput):
            reader(data)


@property_test
@given(st.integers(0, len(INVITE) - 1), st.binary(min_size=0, max_size=6), st.integers(0, 6))
def test_a_damaged_message_is_read_or_refused(place: int, put: bytes, cut: int) -> None:
    try:
        message = parse(INVITE[:place] + put + INVITE[place + cut :])
    except InvalidInput:
        return
    assert message.cseq[1]
    assert message.call_id
    parse(message.encode())


SDP = sdp.offer("127.0.0.1", 40_000, ["g722", "ulaw"]).encode()


@property_test
@given(st.integers(0, len(SDP) - 1), st.binary(min_size=0, max_size=6), st.integers(0, 6))
def test_a_damaged_description_is_read_or_refused(place: int, put: bytes, cut: int) -> None:
    try:
        described = sdp.parse(SDP[:place] + put + SDP[place + cut :])
    except InvalidInput:
        return
    assert 0 <= described.port <= 65_535
    assert all(0 <= payload <= 127 for payload in described.codecs.values())


def test_offer_and_answer() -> None:
    offered = sdp.parse(SDP)
    assert list(offered.codecs) == ["g722", "ulaw"]
    assert offered.dtmf_payload == 101
    answer = offered.with_direction("sendonly").answered_by("127.0.0.1", 5000, ["alaw", "ulaw"])
    assert (list(answer.codecs), answer.direction) == (["ulaw"], "recvonly")
    assert not answer.held
    assert offered.with_direction("inactive").held
    assert sdp.parse(SDP.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0")).held
    with pytest.raises(InvalidInput):
        offered.answered_by("127.0.0.1", 5000, ["alaw"])
    with pytest.raises(InvalidInput):
        sdp.offer("127.0.0.1", 1, ["opus"])


@property_test
@given(st.lists(st.integers(1, 200), max_size=12))
def test_a_stream_is_cut_anywhere(sizes: list[int]) -> None:
    first = INVITE.removesuffix(b"MORE")
    response = Response(status=486, reason="Busy Here")
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        response.headers.add(name, parse(first).headers.get(name))
    stream = b"\r\n\r\n" + first + response.encode() + first
    framer, found, place = StreamFramer(), list[Request | Response](), 0
    for size in [*sizes, len(stream)]:
        found += framer.feed(stream[place : place + size])
        place += size
    assert [type(message) for message in found] == [Request, Response, Request]
    assert [message.body for message in found] == [b"body", b"", b"body"]


@property_test
@given(st.text(max_size=60))
def test_addresses_and_challenges_never_break(text: str) -> None:
    for reader in (SipUri.parse, NameAddress.parse, parse_challenge):
        with contextlib.suppress(InvalidInput):
            reader(text)


def test_digest_of_the_rfc() -> None:
    """RFC 7616 section 3.9.1 gives SHA-256; without qop RFC 2069's form must hold."""
    value = authorization(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc"',
        method="GET",
        uri="/dir/index.html",
        user="Mufasa",
        password="Circle Of Life",
    )
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in value
    assert 'opaque="5ccc"' in value


@property_test
@given(st.binary(max_size=60))
def test_rtp_noise_is_dropped(data: bytes) -> None:
    packet = unpack_rtp(data)
    assert packet is None or len(packet[4]) <= len(data) - 12


def test_rtp_is_read_as_written() -> None:
    data = pack_rtp(b"abc", kind=8, sequence=65_535, timestamp=2**32 - 1, ssrc=5, marker=True)
    assert unpack_rtp(data) == (8, 65_535, 2**32 - 1, 5, b"abc")
