"""One OPTIONS and what comes back: only an answer to our own question counts, and nothing ever raises."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.telephony.domain import Credentials, Trunk
from provisioning.caller.sip_message import Request, parse
from runtime.sip.gateway.addresses import HostPort
from runtime.sip.gateway.pjsip import targets_of
from runtime.sip.options.message import MOST_BYTES, MOST_REASON, Answer, Question, read_answer

ASKED = Question(HostPort("pbx.example", 5070), "udp", branch="z9hG4bKmine", call_id="my-call", tag="t")
HEADERS = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;rport=5060;branch=z9hG4bKmine;received=192.0.2.1",
    "From": "<sip:trunkline@pbx.example>;tag=t",
    "To": "<sip:pbx.example:5070>;tag=theirs",
    "Call-ID": "my-call",
    "CSeq": "1 OPTIONS",
    "Content-Length": "0",
}


def answer(first: str = "SIP/2.0 200 OK", **changed: str | None) -> bytes:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [first, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (answer(), Answer(200, "OK", 0)),
        (
            answer("SIP/2.0 401 Unauthorized", Content_Length="12") + b"x" * 12,
            Answer(401, "Unauthorized", 12),
        ),
        (answer("SIP/2.0 404"), Answer(404, "", 0)),
        (answer("SIP/2.0 403 \x1b[31mNo\x07"), Answer(403, "[31mNo", 0)),
        (answer("SIP/2.0 486 " + "b" * 500), Answer(486, "b" * MOST_REASON, 0)),
        (b"\r\n\r\n" + answer(), Answer(200, "OK", 0)),
        (answer(Content_Length="many"), Answer(200, "OK", 0)),
        (answer(Via=None, v=HEADERS["Via"], Call_ID=None, i="my-call"), Answer(200, "OK", 0)),
        (answer(Via="SIP/2.0/UDP 192.0.2.1\r\n ;branch=z9hG4bKmine"), Answer(200, "OK", 0)),
        (
            answer(Via=HEADERS["Via"] + "\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother"),
            Answer(200, "OK", 0),
        ),
    ],
)
def test_an_answer_is_read(message: bytes, expected: Answer) -> None:
    assert read_answer(message, ASKED) == expected


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"SIP/2.0 200 OK\r\n\r\n",
        answer(Call_ID="another"),
        answer(Call_ID=None),
        answer(CSeq="1 INVITE"),
        answer(CSeq="2 OPTIONS"),
        answer(Via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother"),
        answer(Via="SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKmine"),
        answer(Via=None),
        answer("SIP/2.0 700 Never"),
        answer("SIP/2.0 2000 OK"),
        answer("SIP/3.0 200 OK"),
        answer("HTTP/1.1 200 OK"),
        answer("OPTIONS sip:me SIP/2.0"),
        answer(To="x\r\nno header at all"),
        answer()[:-2],
        answer(To="x" * MOST_BYTES),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_what_is_not_our_answer_is_none(message: bytes) -> None:
    assert read_answer(message, ASKED) is None


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.binary(max_size=2000))
def test_no_bytes_break_it(message: bytes) -> None:
    assert read_answer(message, ASKED) is None


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.data())
def test_a_damaged_answer_breaks_nothing_and_shows_nothing_unprintable(data: st.DataObject) -> None:
    """Pieces of a good answer replaced by anything."""
    message = bytearray(answer("SIP/2.0 200 All is well", Content_Length="7"))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(message)))
        end = data.draw(st.integers(start, min(len(message), start + 30)))
        message[start:end] = data.draw(st.binary(max_size=40))
    found = read_answer(bytes(message), ASKED)
    if found is not None:
        assert 100 <= found.status <= 699
        assert found.reason.isprintable()
        assert len(found.reason) <= MOST_REASON
        assert 0 <= found.content_length < 1_000_000


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("host", ["pbx.example", "192.0.2.7", "2001:db8::7"])
def test_the_question_is_a_request_that_others_read(transport: str, host: str) -> None:
    """Read by the telephone of the tests, which shares no code with it."""
    trunk = Trunk(
        id=UUID(int=1),
        organization_id=UUID(int=2),
        name="x",
        host=host,
        port=5070,
        transport=transport,
        auth=Credentials(username="never-on-the-wire", password="never-on-the-wire"),
    )
    question = Question.of(trunk, targets_of(trunk)[0])
    text = question.text(HostPort("192.0.2.1", 40000))
    request = parse(text)
    assert isinstance(request, Request)
    assert request.method == "OPTIONS"
    assert b"never-on-the-wire" not in text
    assert text.count(b"\r\n\r\n") == 1
    assert (b";transport=" in text.split(b"\r\n")[0]) == (transport != "udp")
    assert question.branch.startswith("z9hG4bK")
    assert Question.of(trunk, targets_of(trunk)[0]).branch != question.branch
