"""From a model's samples to ours: silence cut, even loudness, 24 kHz, 16 bit. Pure but for soxr."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from models.tts.clause import Samples

SAMPLE_RATE_HZ = 24_000
_TARGET_RMS = 0.1
"""Of the speech alone, -20 dB of full scale: what the lite voice has too."""
_SILENCE = 0.02
"""A share of the loudest sample; what is quieter at either end is silence."""
_FLOOR = 0.0005
_KEPT_LEAD_MS = 5
_KEPT_TAIL_MS = 80
_MAX_GAIN, _MIN_GAIN = 20.0, 0.05
_KNEE, _CEILING = 0.5, 0.97


class Shaper:
    """Shapes the sound of one clause that comes in one piece or in several.

    The gain follows the loudness of all that came so far, so a stream becomes even within its first chunks.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler: Any = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        self._begun = False
        self._energy = 0.0
        self._count = 0
        self._gain = 0.0

    def take(self, samples: Samples) -> bytes:
        """The next samples, shaped; empty while nothing but silence came."""
        if not self._begun:
            samples = _without_lead(samples, self._rate_hz)
            if not samples.size:
                return b""
            self._begun = True
        if not samples.size:
            return b""
        peak = float(np.max(np.abs(samples)))
        loud = samples[np.abs(samples) > max(_FLOOR, _SILENCE * peak)]
        self._energy += float(np.sum(loud.astype(np.float64) ** 2))
        self._count += loud.size
        if self._count:
            rms = float(np.sqrt(self._energy / self._count))
            wanted = min(_MAX_GAIN, max(_MIN_GAIN, _TARGET_RMS / max(rms, 1e-9)))
        else:
            wanted = self._gain or 1.0
        before, self._gain = self._gain or wanted, wanted
        ramp = np.full(samples.size, wanted, dtype=np.float32)
        fade = min(samples.size, self._rate_hz // 50)
        ramp[:fade] = np.linspace(before, wanted, fade, dtype=np.float32)
        return self._out(limited(samples * ramp), last=False)

    def end(self, pause_ms: int = 0) -> bytes:
        """What the resampler still holds, and the pause."""
        rest = self._out(np.zeros(0, dtype=np.float32), last=True) if self._begun else b""
        return rest + bytes(2 * (SAMPLE_RATE_HZ * max(0, pause_ms) // 1000))

    def _out(self, samples: Samples, *, last: bool) -> bytes:
        resampled = self._resampler.resample_chunk(samples, last=last)
        return (np.clip(resampled, -_CEILING, _CEILING) * 32767).astype("<i2").tobytes()


def shape_whole(samples: Samples, rate_hz: int, pause_ms: int = 0) -> bytes:
    """A whole clause, with the silence at its end cut too."""
    shaper = Shaper(rate_hz)
    return shaper.take(_without_tail(samples, rate_hz)) + shaper.end(pause_ms)


def limited(samples: Samples) -> Samples:
    """A soft knee above half of full scale, so that a loud vowel does not crackle."""
    level = np.abs(samples)
    bent = _KNEE + (_CEILING - _KNEE) * np.tanh((level - _KNEE) / (_CEILING - _KNEE))
    return np.where(level > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)


def _loud(samples: Samples) -> Any:
    peak = float(np.max(np.abs(samples))) if samples.size else 0.0
    return np.flatnonzero(np.abs(samples) > max(_FLOOR, _SILENCE * peak))


def _without_lead(samples: Samples, rate_hz: int) -> Samples:
    loud = _loud(samples)
    if not loud.size:
        return samples[:0]
    return samples[max(0, int(loud[0]) - rate_hz * _KEPT_LEAD_MS // 1000) :]


def _without_tail(samples: Samples, rate_hz: int) -> Samples:
    loud = _loud(samples)
    return samples[: int(loud[-1]) + 1 + rate_hz * _KEPT_TAIL_MS // 1000] if loud.size else samples[:0]
