"""What the bridge itself lets a caller hear: the box's sentences, and the ringing of a human's telephone.

All of it is 16 kHz mono 16-bit PCM.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import Final

import numpy as np
import structlog

log = structlog.get_logger()

SAMPLE_RATE_HZ: Final = 16_000
FRAME_MS: Final = 20
FRAME_BYTES: Final = SAMPLE_RATE_HZ * FRAME_MS // 1000 * 2
SILENCE: Final = bytes(FRAME_BYTES)
_FALLBACK_LANGUAGE: Final = "en"


def _tone(frequency_hz: float, seconds: float, *, level: float = 0.1) -> bytes:
    times = np.arange(int(SAMPLE_RATE_HZ * seconds)) / SAMPLE_RATE_HZ
    return (np.sin(2 * np.pi * frequency_hz * times) * level * 32767).astype("<i2").tobytes()


def frames_of(pcm: bytes) -> Iterator[bytes]:
    """20 ms frames; the last one is filled up with silence."""
    for start in range(0, len(pcm), FRAME_BYTES):
        yield pcm[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")


@cache
def _ringback_period() -> tuple[bytes, ...]:
    """425 Hz, one second on and four off: the ringing tone of most of Europe (ITU-T E.180)."""
    return (*frames_of(_tone(425, 1.0)), *repeat(SILENCE, 4 * 1000 // FRAME_MS))


def ringback() -> Iterator[bytes]:
    """Ringing without end."""
    return chain.from_iterable(repeat(_ringback_period()))


class Sentences:
    """The rendered sentences of `sentences_dir`; each file is read once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded: dict[tuple[str, str], bytes] = {}

    def frames(self, key: str, language: str) -> Iterator[bytes]:
        """The sentence as frames. One that is missing becomes a short tone, because a lost part must never
        mean silence."""
        return frames_of(self._pcm(key, language))

    def _pcm(self, key: str, language: str) -> bytes:
        wanted = (language, key)
        if wanted not in self._loaded:
            self._loaded[wanted] = self._read(key, language)
        return self._loaded[wanted]

    def _read(self, key: str, language: str) -> bytes:
        for folder in (language, language.split("-")[0], _FALLBACK_LANGUAGE):
            path = self._directory / folder / f"{key}.wav"
            if not path.is_file():
                continue
            try:
                with wave.open(str(path), "rb") as sound:
                    if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2):
                        return sound.readframes(sound.getnframes())
            except (OSError, EOFError, wave.Error):
                pass
            log.warning("a sentence cannot be played", sentence=f"{folder}/{path.name}")
        log.warning("a sentence is missing", sentence=f"{language}/{key}")
        return _tone(440, 0.4)
