"""One OPTIONS as text, and its answer read back (RFC 3261, sections 7, 8.1 and 11). Pure.

The answer comes from a stranger: whatever the bytes are, reading never raises, and only what is certainly the
answer to our own question counts.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from appliance.telephony.domain import Trunk
from runtime.sip.gateway.addresses import HostPort, checked_host

MOST_BYTES = 16 * 1024
MOST_REASON = 80
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?")
_BRANCH = re.compile(rb";\s*branch\s*=\s*([^\s;,]+)", re.IGNORECASE)
_CSEQ = re.compile(rb"\s*0*1\s+OPTIONS\s*")
_LENGTH = re.compile(rb"\s*([0-9]{1,6})\s*")
_COMPACT = {b"v": b"via", b"i": b"call-id", b"l": b"content-length"}


def _token() -> str:
    return secrets.token_hex(12)


@dataclass(frozen=True)
class Question:
    """One OPTIONS; its names are random, so that nobody answers it who has not read it."""

    target: HostPort
    transport: str
    """As a URI has it: `udp`, `tcp` or `tls`."""
    domain: str = ""
    """As `From` shows it; empty: the target's host. No user: a PBX that has an account of that name would
    ask for its password."""
    branch: str = field(default_factory=lambda: f"z9hG4bK{_token()}")
    call_id: str = field(default_factory=_token)
    tag: str = field(default_factory=_token)

    @classmethod
    def of(cls, trunk: Trunk, target: HostPort) -> Question:
        return cls(target, trunk.transport, checked_host(trunk.host, field="host") if trunk.host else "")

    def text(self, local: HostPort) -> bytes:
        """The message as it is sent from `local`."""
        parameter = "" if self.transport == "udp" else f";transport={self.transport}"
        uri = f"sip:{self.target}{parameter}"
        lines = (
            f"OPTIONS {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {local};branch={self.branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.domain or self.target.host}>;tag={self.tag}",
            f"To: <{uri}>",
            f"Call-ID: {self.call_id}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:{local}{parameter}>",
            "Accept: application/sdp",
            "User-Agent: Trunkline",
            "Content-Length: 0",
        )
        return "\r\n".join((*lines, "", "")).encode("ascii")


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    """Printable, and no longer than `MOST_REASON`."""
    content_length: int
    """Bytes after the head, as the answer says; 0 when it says nothing that can be read."""


def read_answer(message: bytes, asked: Question) -> Answer | None:
    """The answer to `asked`, or None for everything else. Never raises."""
    head, complete, _ = message.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not complete or len(head) > MOST_BYTES:
        return None
    first, *lines = head.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(first)
    headers = _headers(lines)
    if found is None or headers is None:
        return None
    branch = _BRANCH.search(headers.get(b"via", b"").partition(b",")[0])
    is_ours = (
        headers.get(b"call-id", b"").strip() == asked.call_id.encode()
        and branch is not None
        and branch[1].lower() == asked.branch.lower().encode()
        and _CSEQ.fullmatch(headers.get(b"cseq", b"")) is not None
    )
    if not is_ours:
        return None
    length = _LENGTH.fullmatch(headers.get(b"content-length", b""))
    return Answer(int(found[1]), _shown(found[2] or b""), int(length[1]) if length else 0)


def _headers(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """The first value of each header; None when a line is none."""
    headers: dict[bytes, bytes] = {}
    name = b""
    for line in lines:
        if line[:1] in (b" ", b"\t") and name:  # folded, as old implementations write
            headers[name] += b" " + line.strip()
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if not colon or not name:
            return None
        name = _COMPACT.get(name, name)
        if name in headers:
            name += b"\x00"  # a further Via is of no interest, and what is folded under it neither
        headers[name] = value
    return headers


def _shown(reason: bytes) -> str:
    text = reason.decode("utf-8", errors="replace")
    return "".join(sign for sign in text if sign.isprintable()).strip()[:MOST_REASON]
