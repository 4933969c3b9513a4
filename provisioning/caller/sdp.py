"""The session descriptions (RFC 8866, offer and answer of RFC 3264) that one audio call needs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Literal

from appliance.errors import InvalidInput

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_ANSWER: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_NAMES = {"PCMU/8000": "ulaw", "PCMA/8000": "alaw", "G722/8000": "g722"}
_ENCODINGS = {name: encoding for encoding, name in _NAMES.items()}
_STATIC = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}
_PAYLOADS = {_NAMES[encoding]: number for number, encoding in _STATIC.items()}
DTMF_PAYLOAD = 101


@dataclass(frozen=True)
class SessionDescription:
    """One audio stream: where it wants its RTP, and what it speaks, best first."""

    address: str
    port: int
    codecs: dict[str, int] = field(default_factory=dict[str, int])
    """Codec name (`ulaw`, `alaw`, `g722`) to RTP payload type."""
    dtmf_payload: int | None = DTMF_PAYLOAD
    direction: Direction = "sendrecv"

    @property
    def held(self) -> bool:
        """The one who wrote this wants to hear nothing (RFC 3264 section 8.4, or the older c=0.0.0.0)."""
        return self.direction in ("sendonly", "inactive") or self.address == "0.0.0.0"  # noqa: S104

    def encode(self, *, version: int = 1) -> bytes:
        payloads = [*self.codecs.values()]
        if self.dtmf_payload is not None:
            payloads.append(self.dtmf_payload)
        family = "IP6" if ":" in self.address else "IP4"
        lines = [
            "v=0",
            f"o=caller 1 {version} IN {family} {self.address}",
            "s=call",
            f"c=IN {family} {self.address}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {' '.join(str(payload) for payload in payloads)}",
        ]
        lines += [f"a=rtpmap:{payload} {_ENCODINGS[name]}" for name, payload in self.codecs.items()]
        if self.dtmf_payload is not None:
            lines.append(f"a=rtpmap:{self.dtmf_payload} telephone-event/8000")
            lines.append(f"a=fmtp:{self.dtmf_payload} 0-16")
        lines += ["a=ptime:20", f"a={self.direction}", ""]
        return "\r\n".join(lines).encode()

    def answered_by(
        self, address: str, port: int, speaks: list[str], *, hold: bool = False
    ) -> SessionDescription:
        """Our answer to this offer with the codecs that both speak, in our order.

        InvalidInput when there is none: the call must be refused with 488.
        """
        shared = {name: self.codecs[name] for name in speaks if name in self.codecs}
        if not shared:
            raise InvalidInput("The offer has no codec that we speak.", field="codecs")
        direction = _ANSWER[self.direction]
        if hold:
            direction = "sendonly" if direction == "sendrecv" else direction
        return SessionDescription(address, port, shared, self.dtmf_payload, direction)

    def with_direction(self, direction: Direction) -> SessionDescription:
        return replace(self, direction=direction)


def offer(address: str, port: int, codecs: list[str]) -> SessionDescription:
    """What we offer: these codecs in this order, and RFC 4733 digits."""
    unknown = [name for name in codecs if name not in _PAYLOADS]
    if unknown or not codecs:
        raise InvalidInput(
            f"Unknown codec {unknown or 'list: empty'}.", remedy=f"Use {', '.join(_PAYLOADS)}."
        )
    return SessionDescription(address, port, {name: _PAYLOADS[name] for name in codecs})


def parse(data: bytes) -> SessionDescription:
    """The first audio stream of a description. InvalidInput when there is none that can be understood."""
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput("The session description is not UTF-8.") from error
    address, direction, media = "", "sendrecv", ""
    maps: dict[int, str] = dict(_STATIC)
    in_audio = False
    for line in lines:
        kind, _, value = line.partition("=")
        if kind == "m":
            if media:
                break
            in_audio = value.startswith("audio ")
            media = value if in_audio else ""
        elif kind == "c" and (in_audio or not media):
            address = _address(value)
        elif kind == "a" and value in _DIRECTIONS and (in_audio or not media):
            direction = value
        elif kind == "a" and in_audio and value.startswith("rtpmap:"):
            _map(value.removeprefix("rtpmap:"), maps)
    if not media:
        raise InvalidInput("The session description has no audio.")
    return _stream(media, address, direction, maps)


def _stream(media: str, address: str, direction: Direction, maps: dict[int, str]) -> SessionDescription:
    parts = media.split()
    if len(parts) < 4 or not _number(parts[1], 65_535) or not parts[2].startswith("RTP/"):
        raise InvalidInput("The audio line of the session description cannot be read.")
    if not address:
        raise InvalidInput("The session description names no address.")
    codecs: dict[str, int] = {}
    dtmf: int | None = None
    for text in parts[3:]:
        if not _number(text, 127):
            raise InvalidInput("The audio line has a payload type that is none.")
        encoding = maps.get(int(text), "")
        if encoding.lower().startswith("telephone-event/8000"):
            dtmf = int(text)
        elif name := _NAMES.get("/".join(encoding.upper().split("/")[:2])):
            codecs.setdefault(name, int(text))
    return SessionDescription(address, int(parts[1]), codecs, dtmf, direction)


def _address(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN":
        raise InvalidInput("The connection line of the session description cannot be read.")
    try:
        return str(ipaddress.ip_address(parts[2].split("/", 1)[0]))
    except ValueError as error:
        raise InvalidInput("The session description's address is no IP address.") from error


def _map(value: str, maps: dict[int, str]) -> None:
    payload, _, encoding = value.partition(" ")
    if _number(payload, 127) and encoding.strip():
        maps[int(payload)] = encoding.strip()


def _number(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= most
