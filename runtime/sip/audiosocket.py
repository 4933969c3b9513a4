"""AudioSocket, Asterisk's plain audio over TCP: the framing, and the server that Asterisk connects to.

A frame is a kind (1 byte), a payload length (2 bytes, big-endian) and the payload; the first frame of a
connection carries the UUID that was given with the channel. Audio is signed 16-bit little-endian, and its
kind names its rate. https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from typing_extensions import override

from runtime.sip.sounds import FRAME_MS, SILENCE

log = structlog.get_logger()

HANGUP: Final = 0x00
IDENTITY: Final = 0x01
DTMF: Final = 0x03
AUDIO_8K: Final = 0x10
AUDIO_16K: Final = 0x12
FAILURE: Final = 0xFF
_AUDIO_KINDS: Final = range(0x10, 0x19)
_KNOWN_KINDS: Final = frozenset({HANGUP, IDENTITY, DTMF, FAILURE, *_AUDIO_KINDS})
_HEADER: Final = struct.Struct(">BH")
MAX_PAYLOAD_BYTES: Final = 8192
"""No frame of Asterisk's is longer than 20 ms at 192 kHz."""
_IDENTITY_TIMEOUT_SECONDS: Final = 5.0
_UNATTENDED_FRAMES: Final = 500
"""10 s of silence for a connection that nobody takes; making a call's audio takes 5 s at most."""
_MAX_UNSENT_BYTES: Final = 3200
"""100 ms; what Asterisk does not take by then is dropped, so that a stall does not stay as delay."""


class FramingError(ValueError):
    """The other side does not speak AudioSocket; the connection cannot be used any further."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    payload: bytes


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame as bytes. FramingError when the payload is too long."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise FramingError(f"a payload of {len(payload)} bytes is too long")
    return _HEADER.pack(kind, len(payload)) + payload


class Framer:
    """Cuts a byte stream into frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete by now. FramingError for an unknown kind or an impossible length."""
        self._rest += data
        frames: list[Frame] = []
        start = 0
        while len(self._rest) - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._rest, start)
            if kind not in _KNOWN_KINDS or length > MAX_PAYLOAD_BYTES:
                raise FramingError(f"kind {kind:#04x} with {length} bytes")
            end = start + _HEADER.size + length
            if len(self._rest) < end:
                break
            frames.append(Frame(kind, bytes(self._rest[start + _HEADER.size : end])))
            start = end
        del self._rest[:start]
        return frames


class AudioSocketConnection(asyncio.Protocol):
    """One channel's audio. `on_audio` gets each 16 kHz payload; `on_closed` comes exactly once."""

    def __init__(self, server: AudioSocketServer) -> None:
        self._server = server
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._identity_timer: asyncio.TimerHandle | None = None
        self._feeding: asyncio.TimerHandle | None = None
        self._identity: UUID | None = None
        self._on_audio: Callable[[bytes], None] | None = None
        self._on_closed: Callable[[], None] | None = None
        self.dropped_frames = 0

    def attach(self, on_audio: Callable[[bytes], None], on_closed: Callable[[], None]) -> None:
        """From now on audio goes to `on_audio`, and the owner sends. A connection that is closed already says
        so at once."""
        self._stop_feeding()
        self._on_audio, self._on_closed = on_audio, on_closed
        if self._transport is None:
            self._say_closed()

    def send(self, pcm: bytes) -> None:
        """Sends 16 kHz audio; dropped when the other side takes none."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.dropped_frames += 1
            return
        self._transport.write(encode(AUDIO_16K, pcm))

    def close(self) -> None:
        """Ends the connection; Asterisk hangs the channel up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(HANGUP))
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(self)
        self._identity_timer = asyncio.get_running_loop().call_later(
            _IDENTITY_TIMEOUT_SECONDS, self._refuse, "it did not say who it is"
        )

    @override
    def data_received(self, data: bytes) -> None:
        try:
            frames = self._framer.feed(data)
        except FramingError as error:
            self._refuse(str(error))
            return
        for frame in frames:
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._identity is None:
            self._identify(frame)
        elif frame.kind == AUDIO_16K:
            if self._on_audio is not None and len(frame.payload) % 2 == 0:
                self._on_audio(frame.payload)
        elif frame.kind in (HANGUP, FAILURE):
            self._transport.close()

    def _identify(self, frame: Frame) -> None:
        if frame.kind != IDENTITY or len(frame.payload) != 16:
            self._refuse("its first frame is no identity")
            return
        self._identity = UUID(bytes=frame.payload)
        if self._identity_timer is not None:
            self._identity_timer.cancel()
        if self._server.identified(self._identity, self):
            self._feed(_UNATTENDED_FRAMES)
        else:
            self._refuse("nobody expects it")

    def _feed(self, frames: int) -> None:
        """Sends silence until the connection has an owner. Asterisk keeps the channel locked while it waits
        for a frame, and whoever lists the channels then waits for that lock: all calls would stand still."""
        if frames == 0:
            self._refuse("nobody took it")
            return
        self.send(SILENCE)
        self._feeding = asyncio.get_running_loop().call_later(FRAME_MS / 1000, self._feed, frames - 1)

    def _stop_feeding(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            self._feeding = None

    def _refuse(self, reason: str) -> None:
        if self._transport is not None:
            log.warning("audiosocket connection refused", reason=reason)
            self._transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._stop_feeding()
        if self._identity_timer is not None:
            self._identity_timer.cancel()
        self._server.closed(self)
        self._say_closed()

    def _say_closed(self) -> None:
        on_closed, self._on_closed, self._on_audio = self._on_closed, None, None
        if on_closed is not None:
            on_closed()


class AudioSocketServer:
    """Listens for Asterisk and gives each connection to who expects its UUID; nobody else gets in."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._expected: dict[UUID, asyncio.Future[AudioSocketConnection]] = {}
        self._connections: set[AudioSocketConnection] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: AudioSocketConnection(self), host, port
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return self._server.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        return len(self._connections)

    @contextmanager
    def expecting(self, identity: UUID) -> Generator[asyncio.Future[AudioSocketConnection]]:
        """While this context lasts, the connection that names `identity` is let in; it is closed when the
        context ends by an error."""
        future: asyncio.Future[AudioSocketConnection] = asyncio.get_running_loop().create_future()
        self._expected[identity] = future
        try:
            yield future
        except BaseException:
            if future.done() and not future.cancelled():
                future.result().close()
            raise
        finally:
            self._expected.pop(identity, None)
            if not future.done():
                future.cancel()

    def opened(self, connection: AudioSocketConnection) -> None:
        self._connections.add(connection)

    def identified(self, identity: UUID, connection: AudioSocketConnection) -> bool:
        future = self._expected.pop(identity, None)
        if future is None or future.done():
            return False
        future.set_result(connection)
        return True

    def closed(self, connection: AudioSocketConnection) -> None:
        self._connections.discard(connection)
