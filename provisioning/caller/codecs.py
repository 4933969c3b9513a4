"""Telephone codecs: G.711 by table (ITU-T G.711), G.722 by FFmpeg's own implementation through PyAV."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.errors import InvalidInput

Samples = NDArray[np.int16]
FRAME_MS = 20
RTP_CLOCK_HZ = 8000
"""G.722's RTP clock is 8 kHz too, by an old mistake that RFC 3551 keeps."""


class Codec(Protocol):
    """One direction's state: use one object for each stream. `rate_hz` is that of the samples."""

    name: str
    rate_hz: int

    def encode(self, samples: Samples) -> bytes: ...

    def decode(self, payload: bytes) -> Samples: ...


def _ulaw_decode_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 0x07)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_decode_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (code >> 4) & 0x07, code & 0x0F
    magnitude = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _encode_table(decode: Samples) -> NDArray[np.uint8]:
    """The code whose value is nearest, for each of the 65,536 samples."""
    order = np.argsort(decode, kind="stable")
    values = decode[order].astype(np.int32)
    middles = (values[:-1] + values[1:] + 1) // 2
    positions = np.searchsorted(middles, np.arange(-32768, 32768), side="right")
    return order[positions].astype(np.uint8)


_DECODE = {"ulaw": _ulaw_decode_table(), "alaw": _alaw_decode_table()}
_ENCODE = {name: _encode_table(table) for name, table in _DECODE.items()}


class G711:
    rate_hz = 8000

    def __init__(self, name: str) -> None:
        self.name = name
        self._decode, self._encode = _DECODE[name], _ENCODE[name]

    def encode(self, samples: Samples) -> bytes:
        return self._encode[samples.astype(np.int32) + 32768].tobytes()

    def decode(self, payload: bytes) -> Samples:
        return self._decode[np.frombuffer(payload, np.uint8)]


class G722:
    """Wideband: 16 kHz samples, 64 kbit/s."""

    name = "g722"
    rate_hz = 16000

    def __init__(self) -> None:
        self._encoder: Any = None
        self._decoder: Any = None

    def encode(self, samples: Samples) -> bytes:
        import av

        if self._encoder is None:
            self._encoder = av.CodecContext.create("g722", "w")
            self._encoder.sample_rate, self._encoder.layout, self._encoder.format = 16000, "mono", "s16"
            self._encoder.time_base = Fraction(1, 16000)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = 16000
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))

    def decode(self, payload: bytes) -> Samples:
        import av

        if self._decoder is None:
            self._decoder = av.CodecContext.create("g722", "r")
            self._decoder.sample_rate, self._decoder.layout = 16000, "mono"
        frames = self._decoder.decode(av.Packet(payload))
        parts = [frame.to_ndarray().reshape(-1).astype(np.int16) for frame in frames]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def make_codec(name: str) -> Codec:
    """A fresh codec by its name; InvalidInput for one that we do not speak."""
    if name in _DECODE:
        return G711(name)
    if name == "g722":
        return G722()
    raise InvalidInput(f"Unknown codec {name!r}.", remedy="Use ulaw, alaw or g722.")
