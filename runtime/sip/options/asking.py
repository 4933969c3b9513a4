"""Asking one address by UDP, TCP or TLS, within a time and a number of bytes. Nothing raises."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final

from appliance.telephony.trunk_test_domain import Outcome
from runtime.sip.gateway.addresses import HostPort
from runtime.sip.options.message import MOST_BYTES, Answer, Question, read_answer

_FIRST_REPEAT_SECONDS: Final = 0.5
"""T1 of RFC 3261, section 17.1.2.2; doubled with each copy."""
_MOST_MESSAGES: Final = 20
_WRONG_NAME: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""


@dataclass(frozen=True)
class Heard:
    """What came of one question."""

    outcome: Outcome
    answer: Answer | None = None
    round_trip_ms: float | None = None
    detail: str = ""


async def ask(
    question: Question, address: tuple[str, int], *, tls: ssl.SSLContext | None, seconds: float
) -> Heard:
    """Asks the IP address and port. `tls` is needed for that transport; the certificate must have the name
    of the question's target."""
    try:
        if question.transport == "udp":
            return await _by_datagrams(question, address, seconds)
        async with asyncio.timeout(seconds):
            return await _by_stream(question, address, tls)
    except TimeoutError:
        return Heard("no_answer")
    except ssl.SSLCertVerificationError as error:
        outcome = "tls_name" if error.verify_code in _WRONG_NAME else "tls_untrusted"
        return Heard(outcome, detail=error.verify_message)
    except ssl.SSLError:
        return Heard("tls_failed")
    except ConnectionRefusedError:
        return Heard("refused")
    except (ConnectionError, EOFError):
        return Heard("closed")
    except OSError:
        return Heard("unreachable")
    except ValueError:  # a name that TLS cannot hold
        return Heard("tls_failed")


class _Datagrams(asyncio.DatagramProtocol):
    """Connected to the one address: the kernel drops what others send, and tells of a refusal."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._received = 0
        self.rubbish = False
        self.sent_at: list[float] = []
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.heard.done():
            return
        self._received += 1
        answer = read_answer(data, self._question) if len(data) <= MOST_BYTES else None
        if answer is None:
            self.rubbish = True
        elif answer.status >= 200:
            # After a repetition nobody knows which copy was answered.
            known = len(self.sent_at) == 1
            self.heard.set_result(Heard("answered", answer, _since(self.sent_at[0]) if known else None))
        if self._received >= _MOST_MESSAGES and not self.heard.done():
            self.heard.set_result(Heard("not_sip"))

    def error_received(self, exc: Exception) -> None:
        if not self.heard.done():
            self.heard.set_exception(exc)


async def _by_datagrams(question: Question, address: tuple[str, int], seconds: float) -> Heard:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(question), remote_addr=address
    )
    try:
        message = question.text(_local(transport))
        deadline = time.monotonic() + seconds
        wait_seconds = _FIRST_REPEAT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            protocol.sent_at.append(time.monotonic())
            transport.sendto(message)
            done, _ = await asyncio.wait({protocol.heard}, timeout=min(wait_seconds, left))
            if done:
                return protocol.heard.result()
            wait_seconds *= 2
        return Heard("not_sip" if protocol.rubbish else "no_answer")
    finally:
        transport.close()


async def _by_stream(question: Question, address: tuple[str, int], tls: ssl.SSLContext | None) -> Heard:
    if question.transport == "tls" and tls is None:
        raise ValueError("TLS without a context")
    name = None if tls is None else question.target.host.strip("[]")
    reader, writer = await asyncio.open_connection(*address, limit=MOST_BYTES, ssl=tls, server_hostname=name)
    try:
        sent_at = time.monotonic()
        writer.write(question.text(_local(writer.transport)))
        await writer.drain()
        for _ in range(_MOST_MESSAGES):
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.strip():
                continue  # a keep-alive (RFC 5626)
            answer = read_answer(head, question)
            if answer is None or answer.content_length > MOST_BYTES:
                break
            if answer.status >= 200:
                return Heard("answered", answer, _since(sent_at))
            await reader.readexactly(answer.content_length)
        return Heard("not_sip")
    except asyncio.LimitOverrunError:
        return Heard("not_sip")
    except asyncio.IncompleteReadError as error:
        return Heard("not_sip" if error.partial.strip() else "closed")
    finally:
        writer.transport.abort()


def _since(moment: float) -> float:
    return round((time.monotonic() - moment) * 1000, 1)


def _local(transport: asyncio.BaseTransport) -> HostPort:
    host, port = transport.get_extra_info("sockname")[:2]
    return HostPort(f"[{host}]" if ":" in host else str(host), int(port))
