"""The media of one leg: RTP out every 20 ms, RTP in with the kernel's receive times (RFC 3550, RFC 4733).

One thread does both, raised above the machine's other work where that is allowed: a Python event loop that
waits behind a database or a build would turn into jitter that the other side is blamed for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from appliance.errors import Unavailable
from provisioning.caller.capture import VOICED_RMS, Capture
from provisioning.caller.codecs import FRAME_MS, RTP_CLOCK_HZ, Codec, Samples, make_codec

_SO_TIMESTAMPNS = 35
_FRAME_NS = FRAME_MS * 1_000_000
_FRAME_TICKS = RTP_CLOCK_HZ * FRAME_MS // 1000
_LATE_NS = 200_000_000
_DIGITS = "0123456789*#ABCD"
_EVENT_TICKS_LEFT_OVER = 3
_QUEUE_LIMIT = 1000


class Utterance:
    """Samples on their way out. The times are those of the packets with the first and the last speech sample,
    0 until they have left; `sent` is set when the last sample has gone."""

    def __init__(self, samples: Samples) -> None:
        frame = 80
        whole = samples[: len(samples) // frame * frame].astype(np.float64).reshape(-1, frame)
        voiced = np.flatnonzero(np.sqrt(np.mean(whole**2, axis=1)) >= VOICED_RMS) if len(whole) else []
        self.samples = samples
        self.position = 0
        self.first_index = int(voiced[0]) * frame if len(voiced) else 0
        self.last_index = (int(voiced[-1]) + 1) * frame - 1 if len(voiced) else max(0, len(samples) - 1)
        self.first_speech_ns = 0
        self.last_speech_ns = 0
        self.sent = threading.Event()
        self.cancelled = False


@dataclass
class _Digit:
    event: int
    packets: int
    sent: int = 0
    timestamp: int = 0


def pack_rtp(payload: bytes, *, kind: int, sequence: int, timestamp: int, ssrc: int, marker: bool) -> bytes:
    header = struct.pack("!BBHII", 0x80, kind | (0x80 if marker else 0), sequence, timestamp, ssrc)
    return header + payload


def unpack_rtp(data: bytes) -> tuple[int, int, int, int, bytes] | None:
    """Payload type, sequence, timestamp, SSRC and payload; None for what is no RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, kind, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * struct.unpack_from("!H", data, start + 2)[0]
    end = len(data) - (data[-1] if first & 0x20 else 0)
    return (kind & 0x7F, sequence, timestamp, ssrc, data[start:end]) if start <= end else None


class RtpStream:
    """An RTP endpoint on a port of its own. `open` binds it, `start` begins to send, `close` frees it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._socket = _bind_even(host)
        self.port: int = self._socket.getsockname()[1]
        self.codec_name = ""
        self.digits: list[str] = []
        """RFC 4733 digits that came in."""
        self.silent = False
        """Sends nothing at all: a phone whose media never arrives."""
        self.lose_every = 0
        """Leaves out each n-th packet: a lossy network."""
        self.said: Capture | None = None
        self.heard: Capture | None = None
        self._remote: tuple[str, int] | None = None
        self._codec: Codec | None = None
        self._decoders: dict[int, Codec] = {}
        self._payload = 0
        self._dtmf_payload: int | None = None
        self._queue: deque[Utterance] = deque()
        self._events: deque[_Digit] = deque()
        self._seen_event = -1
        self._paused = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._marker = True

    def start(
        self, remote: tuple[str, int], codec: str, payloads: dict[str, int], dtmf_payload: int | None
    ) -> None:
        """Sends to `remote` from now on. Called again (re-INVITE): changes where and what is sent."""
        self._remote, self._dtmf_payload, self._payload = remote, dtmf_payload, payloads[codec]
        if codec != self.codec_name:
            self._codec, self.codec_name = make_codec(codec), codec
        for name, payload in payloads.items():
            if payload not in self._decoders or self._decoders[payload].name != name:
                self._decoders[payload] = make_codec(name)
        if self._thread is None:
            assert self._codec
            self.said, self.heard = Capture(self._codec.rate_hz), Capture(self._codec.rate_hz)
            self._thread = threading.Thread(target=self._run, name=f"rtp-{self.port}", daemon=True)
            self._thread.start()

    @property
    def rate_hz(self) -> int:
        """Of the samples that `play` takes and the captures hold."""
        return self._codec.rate_hz if self._codec else RTP_CLOCK_HZ

    def play(self, samples: Samples) -> Utterance:
        """Puts samples (at `rate_hz`) behind what is still to be sent."""
        if len(self._queue) >= _QUEUE_LIMIT:
            raise Unavailable("The caller has more to say than it can send.", remedy="Wait for `sent`.")
        utterance = Utterance(samples)
        if len(samples) and self._thread is not None and not self._stopping.is_set():
            self._queue.append(utterance)
        else:
            utterance.sent.set()
        return utterance

    async def sent(self, utterance: Utterance) -> None:
        """Waits until the last sample has left or the stream is closed."""
        while not utterance.sent.is_set() and not self._stopping.is_set():  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(0.01)

    def stop_playing(self) -> None:
        """Drops what is still to be sent."""
        for utterance in list(self._queue):
            utterance.cancelled = True

    def pause(self, paused: bool) -> None:
        """While paused nothing is sent and the words wait: the other side is on hold."""
        self._paused = paused

    def send_digits(self, digits: str, *, duration_ms: int = 120) -> None:
        """RFC 4733 events, 60 ms apart. Unavailable when the other side did not accept them."""
        if self._dtmf_payload is None:
            raise Unavailable("The other side takes no RFC 4733 digits.")
        for digit in digits:
            self._events.append(_Digit(_DIGITS.index(digit.upper()), max(2, duration_ms // FRAME_MS)))

    @property
    def sending_digits(self) -> bool:
        return bool(self._events)

    def close(self) -> None:
        """Ends the thread and frees the port; what was captured stays."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        self._socket.close()
        for utterance in self._queue:
            utterance.sent.set()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)
        due = time.monotonic_ns()
        while not self._stopping.is_set():
            wait = due - time.monotonic_ns()
            try:
                if wait > 0:
                    if select.select([self._socket], [], [], wait / 1e9)[0]:
                        self._receive()
                    continue
                if wait < -_LATE_NS:
                    skipped = -wait // _FRAME_NS
                    due += skipped * _FRAME_NS
                    self._timestamp = (self._timestamp + skipped * _FRAME_TICKS) % 2**32
                due += _FRAME_NS
                self._send()
            except (OSError, ValueError):
                if self._stopping.is_set() or self._socket.fileno() < 0:
                    return

    def _send(self) -> None:
        timestamp = self._timestamp
        self._timestamp = (timestamp + _FRAME_TICKS) % 2**32
        if self.silent or self._paused or self._remote is None or self._codec is None:
            self._marker = True
            return
        if self._events:
            self._send_event(self._events[0], timestamp)
            return
        size = self._codec.rate_hz * FRAME_MS // 1000
        frame, utterances = self._next_frame(size)
        self._put(self._codec.encode(frame), self._payload, timestamp, self._marker)
        self._marker = False
        now = time.time_ns()
        assert self.said is not None
        self.said.add(now, self._sequence, timestamp, self._ssrc, frame)
        for utterance, before in utterances:
            if not utterance.first_speech_ns and utterance.position > utterance.first_index:
                utterance.first_speech_ns = now
            if before <= utterance.last_index < utterance.position:
                utterance.last_speech_ns = now
            if utterance.position >= len(utterance.samples):
                utterance.sent.set()

    def _next_frame(self, size: int) -> tuple[Samples, list[tuple[Utterance, int]]]:
        frame = np.zeros(size, np.int16)
        filled, used = 0, list[tuple[Utterance, int]]()
        while filled < size and self._queue:
            utterance = self._queue[0]
            part = utterance.samples[utterance.position : utterance.position + size - filled]
            if not len(part) or utterance.cancelled:
                utterance.sent.set()
                self._queue.popleft()
                continue
            used.append((utterance, utterance.position))
            frame[filled : filled + len(part)] = part
            filled += len(part)
            utterance.position += len(part)
        return frame, used

    def _send_event(self, digit: _Digit, timestamp: int) -> None:
        if digit.sent == 0:
            digit.timestamp = timestamp
        digit.sent += 1
        ending = digit.sent >= digit.packets
        payload = struct.pack(
            "!BBH", digit.event, 0x8A if ending else 0x0A, min(digit.sent, digit.packets) * _FRAME_TICKS
        )
        assert self._dtmf_payload is not None
        if digit.sent < digit.packets + _EVENT_TICKS_LEFT_OVER:
            self._put(payload, self._dtmf_payload, digit.timestamp, digit.sent == 1)
        else:
            self._events.popleft()
            self._marker = True

    def _put(self, payload: bytes, kind: int, timestamp: int, marker: bool) -> None:
        self._sequence = (self._sequence + 1) % 65_536
        if self.lose_every and self._sequence % self.lose_every == 0:
            return
        packet = pack_rtp(
            payload, kind=kind, sequence=self._sequence, timestamp=timestamp, ssrc=self._ssrc, marker=marker
        )
        assert self._remote
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendto(packet, self._remote)

    def _receive(self) -> None:
        try:
            data, ancillary, _flags, _address = self._socket.recvmsg(2048, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return
        at_ns = time.time_ns()
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) >= 16:
                seconds, nanoseconds = struct.unpack_from("qq", content)
                at_ns = seconds * 1_000_000_000 + nanoseconds
        packet = unpack_rtp(data)
        if packet is None:
            return
        kind, sequence, timestamp, ssrc, payload = packet
        if kind == self._dtmf_payload:
            if len(payload) >= 4 and payload[0] < len(_DIGITS) and timestamp != self._seen_event:
                self._seen_event = timestamp
                self.digits.append(_DIGITS[payload[0]])
        elif decoder := self._decoders.get(kind):
            samples = decoder.decode(payload)
            assert self.heard is not None
            if decoder.rate_hz != self.heard.rate_hz:
                samples = samples[::2] if decoder.rate_hz > self.heard.rate_hz else np.repeat(samples, 2)
            self.heard.add(at_ns, sequence, timestamp, ssrc, samples)


def _bind_even(host: str) -> socket.socket:
    """A UDP socket on an even port (RFC 3550 section 11) with the kernel's receive times on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.bind((host, 0))
        if bound.getsockname()[1] % 2 == 0:
            bound.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            bound.setblocking(False)
            return bound
        bound.close()
    raise Unavailable("No even UDP port is free.", remedy="End calls that are still up.")
