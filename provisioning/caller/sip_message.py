"""SIP messages (RFC 3261 section 7): parse what came off the wire, write what goes on it.

The caller meets whatever a network sends, so the parser answers garbage with InvalidInput and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.errors import InvalidInput

MAX_MESSAGE_BYTES = 65_535
_COMPACT = {
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_STATUS = re.compile(r"SIP/2\.0 ([1-6]\d\d) ?(.*)", re.DOTALL)
_REQUEST = re.compile(r"([A-Z]{2,20}) (\S{1,2000}) SIP/2\.0")


class Headers:
    """The headers of a message in their order; names compare without case, short names as their long ones."""

    def __init__(self, items: list[tuple[str, str]] | None = None) -> None:
        self._items: list[tuple[str, str]] = list(items or [])

    def add(self, name: str, value: str) -> None:
        self._items.append((name, value))

    def get(self, name: str, default: str = "") -> str:
        """The first value of that name."""
        return next(iter(self.all(name)), default)

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self._items if _long(key) == wanted]

    def set(self, name: str, value: str) -> None:
        """Replaces every value of that name by this one."""
        wanted = name.lower()
        self._items = [item for item in self._items if _long(item[0]) != wanted]
        self.add(name, value)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


def _long(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower)


@dataclass
class _Message:
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def call_id(self) -> str:
        return self.headers.get("Call-ID")

    @property
    def cseq(self) -> tuple[int, str]:
        number, _, method = self.headers.get("CSeq").partition(" ")
        return (int(number) if number.isdigit() else 0), method.strip()

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: the name of the transaction."""
        return parameters(self.top_via).get("branch", "")

    @property
    def top_via(self) -> str:
        return self.headers.get("Via").split(",", 1)[0]

    @property
    def from_tag(self) -> str:
        return NameAddress.parse(self.headers.get("From")).parameters.get("tag", "")

    @property
    def to_tag(self) -> str:
        return NameAddress.parse(self.headers.get("To")).parameters.get("tag", "")

    def _write(self, first_line: str) -> bytes:
        lines = [first_line]
        lines += [f"{name}: {value}" for name, value in self.headers if _long(name) != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass
class Request(_Message):
    method: str = "OPTIONS"
    uri: str = ""

    def encode(self) -> bytes:
        return self._write(f"{self.method} {self.uri} SIP/2.0")


@dataclass
class Response(_Message):
    status: int = 200
    reason: str = "OK"

    def encode(self) -> bytes:
        return self._write(f"SIP/2.0 {self.status} {self.reason}")


def parse(data: bytes) -> Request | Response:
    """One whole message. InvalidInput when it is none, or lacks what every message must have."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise InvalidInput("The SIP message is longer than a datagram can be.")
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise InvalidInput("The SIP message has no end of its headers.")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("The SIP message's headers are not UTF-8.") from error
    first_line, *lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n")
    headers = Headers([_header(line) for line in lines])
    length = headers.get("Content-Length")
    if length:
        if not (length.isascii() and length.isdigit() and len(length) < 7) or int(length) > len(body):
            raise InvalidInput("The SIP message's Content-Length does not fit its body.")
        body = body[: int(length)]
    message = _start(first_line, headers, body)
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        if not headers.get(name):
            raise InvalidInput(f"The SIP message has no {name} header.", field=name)
    number, method = message.cseq
    if not method or number > 2**31 or (isinstance(message, Request) and method != message.method):
        raise InvalidInput("The SIP message's CSeq does not fit.", field="CSeq")
    _ = message.from_tag, message.to_tag
    return message


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not _TOKEN.fullmatch(name):
        raise InvalidInput("The SIP message has a line that is no header.")
    return name, value.strip()


def _start(line: str, headers: Headers, body: bytes) -> Request | Response:
    if status := _STATUS.fullmatch(line):
        return Response(headers, body, int(status[1]), status[2])
    if request := _REQUEST.fullmatch(line):
        return Request(headers, body, request[1], request[2])
    raise InvalidInput("The SIP message's first line is neither a request nor a response.")


def parameters(value: str) -> dict[str, str]:
    """The `;name=value` parameters after the first part of a header value."""
    found: dict[str, str] = {}
    for part in value.split(";")[1:]:
        name, _, content = part.strip().partition("=")
        if name:
            found[name.strip().lower()] = content.strip().strip('"')
    return found


@dataclass(frozen=True)
class NameAddress:
    """`"Name" <sip:...>;tag=...`, the form of From, To, Contact, Route."""

    uri: str
    display: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def parse(value: str) -> NameAddress:
        """InvalidInput when the angle bracket is not closed or no address is there."""
        match = re.match(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^<>]+)>', value)
        if match:
            display = re.sub(r"\\(.)", r"\1", match[1] or (match[2] or "").strip())
            return NameAddress(match[3], display, parameters("x" + value[match.end() :]))
        uri = value.split(";", 1)[0].strip()
        if not uri or "<" in uri:
            raise InvalidInput("A SIP header names no address.")
        return NameAddress(uri, "", parameters(value))


@dataclass(frozen=True)
class SipUri:
    """`sip:user@host:port;transport=tcp`."""

    user: str
    host: str
    port: int
    transport: str = ""

    @staticmethod
    def parse(text: str) -> SipUri:
        """InvalidInput when it is no SIP address."""
        match = re.fullmatch(
            r"(sips?):(?:([^@\s]*)@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?((?:;[^?\s]*)?)(?:\?\S*)?",
            text,
        )
        if not match or (match[4] and not 0 < int(match[4]) < 65_536):
            raise InvalidInput(f"{text[:80]!r} is not a SIP address.", remedy="Write sip:number@host:port.")
        transport = parameters(match[5]).get("transport", "").lower()
        if match[1] == "sips":
            transport = transport or "tls"
        default = 5061 if transport == "tls" else 5060
        return SipUri(match[2] or "", match[3].strip("[]"), int(match[4] or default), transport)


class StreamFramer:
    """Cuts a TCP stream into messages (RFC 3261 section 18.3); keep-alives between them vanish."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request | Response]:
        """The messages that are whole now. InvalidInput: the stream is lost, close the connection."""
        self._buffer += data
        messages: list[Request | Response] = []
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                if len(self._buffer) > MAX_MESSAGE_BYTES:
                    raise InvalidInput("The SIP stream has no end of its headers.")
                return messages
            length = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return messages
            messages.append(parse(head + separator + rest[:size]))
            self._buffer = rest[size:]
