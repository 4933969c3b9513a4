"""Speech as the telephone makes it, for measuring the recogniser and for adapting it."""

from __future__ import annotations

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float64]
"""Mono, between -1 and 1."""

_TELEPHONE_HZ = 8_000
_WIDE_HZ = 16_000
_ESPEAK_HZ = 22_050
_PAUSE_SECONDS = 0.3
_LINE_NOISE = 1e-4


def spoken(text: str, voice: str, words_per_minute: int = 150) -> tuple[Samples, int]:
    """espeak-ng's speech and its sample rate. Raises subprocess errors."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdin", "--stdout"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=30)
    return np.frombuffer(done.stdout[44:], "<i2").astype(np.float64) / 32768, _ESPEAK_HZ


def spoken_by_flite(text: str, voice: str) -> tuple[Samples, int]:
    """The speech of one of flite's voices and its sample rate. Raises subprocess errors."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as sound:
        command = ["flite", "-voice", voice, "-t", text, "-o", sound.name]
        subprocess.run(command, capture_output=True, check=True, timeout=30)
        return recording(Path(sound.name))


def recording(path: Path) -> tuple[Samples, int]:
    """A mono 16-bit WAV file and its sample rate."""
    with wave.open(str(path)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        return samples.astype(np.float64) / 32768, sound.getframerate()


def mu_law(samples: Samples) -> Samples:
    """What is left after G.711."""
    bounded = np.clip(samples, -1, 1)
    code = np.round(127 * np.sign(bounded) * np.log1p(255 * np.abs(bounded)) / np.log(256)) / 127
    return np.sign(code) * (np.power(256, np.abs(code)) - 1) / 255


def through_telephone(samples: Samples, rate_hz: int, *, pause_seconds: float = _PAUSE_SECONDS) -> bytes:
    """16-bit 16 kHz PCM of the samples after an 8 kHz G.711 line, with a pause on both sides."""
    narrow = soxr.resample(samples, rate_hz, _TELEPHONE_HZ) if rate_hz != _TELEPHONE_HZ else samples
    pause = np.zeros(int(_TELEPHONE_HZ * pause_seconds))
    line = np.concatenate([pause, narrow, pause])
    line = line + np.random.default_rng(1).normal(0.0, _LINE_NOISE, line.size)
    wide = soxr.resample(mu_law(line), _TELEPHONE_HZ, _WIDE_HZ)
    return (np.clip(wide, -1, 1) * 32767).astype("<i2").tobytes()
