"""Telephone audio as the features of a wide-band acoustic model.

pocketsphinx's English model was made from 16 kHz recordings. On the telephone everything above 3.4 kHz is
missing and its error rate more than doubles. Here the mel energies below 3.5 kHz are measured, those above
are predicted from them by a linear regression (`models/lite/adapt.py` makes it from wide-band speech and the
same speech through the telephone). Levels are taken relative to the mean of the loud frames, so that a single
word between silences is normalised like a long sentence.

The mel filters and the cosine transform are those of pocketsphinx (`-lowerf 130 -upperf 6800 -nfilt 25
-transform dct -lifter 22`, 25.625 ms windows each 10 ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAMPLE_RATE_HZ = 16_000
FRAME_MS = 10
_SHIFT = 160
_WINDOW = 410
_FFT = 512
_FILTERS = 25
_LOWEST_HZ, _HIGHEST_HZ = 130.0, 6_800.0
_TELEPHONE_HZ = 3_500.0
_BEYOND_TELEPHONE_HZ = 4_100.0
_CEPSTRA = 13
_LIFTER = 22
_PREEMPHASIS = 0.97
_FLOOR = 1e-4
_DITHER = 3.0
CONTEXT_FRAMES = 3
_LOUD_BELOW_PEAK = 9.0
"""Natural logarithm of power: frames up to 39 dB below the loudest count as speech."""
_LOUD_WEIGHT = 0.85
_USUAL_FRAMES = 200
_WIDE_BAND_GAP = 7.0
"""Natural logarithm of power: wide-band speech has less than that much more below 3.5 kHz than beyond."""

TELEPHONE_FILE = Path(__file__).parent / "acoustics" / "telephone.npz"


def _mel(hertz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hertz / 700.0))


def _hertz(mel: float) -> float:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@cache
def _edges() -> tuple[tuple[float, float, float], ...]:
    """Lower edge, centre and upper edge of each filter, rounded to the transform's bins."""
    bin_hz = SAMPLE_RATE_HZ / _FFT
    lowest = _mel(_LOWEST_HZ)
    width = (_mel(_HIGHEST_HZ) - lowest) / (_FILTERS + 1)
    points = [int(_hertz(lowest + index * width) / bin_hz + 0.5) * bin_hz for index in range(_FILTERS + 2)]
    return tuple((points[i], points[i + 1], points[i + 2]) for i in range(_FILTERS))


@cache
def _filters() -> Floats:
    bins = np.arange(_FFT // 2 + 1) * SAMPLE_RATE_HZ / _FFT
    rows: list[Floats] = []
    for low, centre, high in _edges():
        rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
        rows.append(np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low))
    return np.array(rows)


@cache
def _to_cepstra() -> Floats:
    order = np.arange(_CEPSTRA)[:, None]
    position = np.arange(_FILTERS)[None, :] + 0.5
    scale = np.sqrt(np.where(order == 0, 1.0, 2.0) / _FILTERS)
    lifter = 1.0 + _LIFTER / 2 * np.sin(order * np.pi / _LIFTER)
    return (np.cos(np.pi * order * position / _FILTERS) * scale * lifter).T


@cache
def _dither() -> Floats:
    """A little noise, always the same: digital silence has no logarithm worth having."""
    return np.random.default_rng(8).normal(0.0, _DITHER, SAMPLE_RATE_HZ)


def telephone_filters() -> list[int]:
    """The filters that the telephone lets through."""
    return [index for index, (_, _, high) in enumerate(_edges()) if high <= _TELEPHONE_HZ]


def loudness(pcm: bytes) -> float:
    """The root mean square of the loudest 20 ms of 16-bit audio."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    whole = samples[: samples.size // 320 * 320].reshape(-1, 320)
    return float(np.sqrt((whole**2).mean(axis=1)).max(initial=0.0))


def log_mel(pcm: bytes) -> Floats:
    """Logarithmic mel energies, `[frames, 25]`, of 16-bit 16 kHz mono audio; at least one frame."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    samples += np.resize(_dither(), samples.size)
    if samples.size < _WINDOW:
        samples = np.pad(samples, (0, _WINDOW - samples.size))
    emphasized = samples.copy()
    emphasized[1:] -= _PREEMPHASIS * samples[:-1]
    windows = np.lib.stride_tricks.sliding_window_view(emphasized, _WINDOW)[::_SHIFT]
    spectrum = np.fft.rfft(windows * np.hamming(_WINDOW), _FFT)
    return np.log((np.abs(spectrum) ** 2) @ _filters().T + _FLOOR)


def loud_frames(energies: Floats) -> NDArray[np.bool_]:
    """Which frames are loud enough to count as speech."""
    level = levels(energies)
    return level > np.percentile(level, 95) - _LOUD_BELOW_PEAK


def levels(energies: Floats) -> Floats:
    """The level of each frame in the telephone's band, a natural logarithm of power."""
    level: Floats = energies[:, telephone_filters()].max(axis=1)
    return level


def spectral_shape(energies: Floats) -> Floats:
    """The mean of the loud frames relative to its own level."""
    mean = energies[loud_frames(energies)].mean(axis=0)
    return mean - mean[telephone_filters()].mean()


def normalized(energies: Floats, usual_shape: Floats) -> Floats:
    """Energies relative to the mean of the loud frames, and a little to that of the quiet ones.

    A single word has too few sounds for a mean of its own (its vowel would be taken for the line's colour):
    `usual_shape`, that of many people's speech, counts as so many frames more.
    """
    loud = loud_frames(energies)
    mean = energies[loud].mean(axis=0)
    level = mean[telephone_filters()].mean()
    count = int(loud.sum())
    mean = level + (count * (mean - level) + _USUAL_FRAMES * usual_shape) / (count + _USUAL_FRAMES)
    if not loud.all():
        mean = _LOUD_WEIGHT * mean + (1 - _LOUD_WEIGHT) * energies[~loud].mean(axis=0)
    return energies - mean


def with_context(energies: Floats) -> Floats:
    """Each frame beside its neighbours, and a one for the constant."""
    count = len(energies)
    padded = np.pad(energies, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), mode="edge")
    parts = [padded[shift : shift + count] for shift in range(2 * CONTEXT_FRAMES + 1)]
    return np.hstack([*parts, np.ones((count, 1))])


@dataclass(frozen=True)
class Telephone:
    """What is known of speech on the telephone (`models/lite/adapt.py` makes it)."""

    narrow_shape: Floats
    wide_shape: Floats
    """The usual spectral shapes, `[25]`, of telephone and of wide-band speech."""
    weights: Floats
    """The regression from the telephone's mel energies, with context, to all of them."""


@cache
def telephone() -> Telephone:
    with np.load(TELEPHONE_FILE) as made:
        return Telephone(
            *(made[name].astype(np.float64) for name in ("narrow_shape", "wide_shape", "weights"))
        )


def is_wide_band(energies: Floats) -> bool:
    """Whether the call carries more than the telephone's band, as with G.722 or Opus."""
    beyond = [index for index, (low, _, _) in enumerate(_edges()) if low >= _BEYOND_TELEPHONE_HZ]
    loudest = np.percentile(energies[:, telephone_filters()].max(axis=1), 97)
    return bool(loudest - np.percentile(energies[:, beyond].max(axis=1), 97) < _WIDE_BAND_GAP)


@dataclass(frozen=True)
class Analysis:
    """What is decoded: `cepstra` `[frames, 13]`, normalised, and `level` of each frame."""

    cepstra: NDArray[np.float32]
    level: Floats


def analysed(energies: Floats, known: Telephone | None = None) -> Analysis:
    """The analysis of mel energies, as those of the telephone or of a wide-band call, whichever they are."""
    known = known or telephone()
    if is_wide_band(energies):
        filled = normalized(energies, known.wide_shape)
    else:
        low = normalized(energies, known.narrow_shape)[:, telephone_filters()]
        filled = with_context(low) @ known.weights
    return Analysis(to_cepstra(filled), levels(energies))


def analysis(pcm: bytes) -> Analysis:
    """The analysis of 16-bit 16 kHz mono audio; at least one frame."""
    return analysed(log_mel(pcm))


def to_cepstra(normal: Floats) -> NDArray[np.float32]:
    """Cepstra of normalised energies."""
    return (normal @ _to_cepstra()).astype(np.float32)


def cepstra(pcm: bytes) -> NDArray[np.float32]:
    """Normalised cepstra, `[frames, 13]`, for a decoder that does no normalisation of its own."""
    return analysis(pcm).cepstra


def with_differences(cepstra: NDArray[np.float32]) -> Floats:
    """`[frames, 3, 13]`: cepstra, first and second differences (`1s_c_d_dd`)."""
    padded = np.pad(cepstra.astype(np.float64), ((3, 3), (0, 0)), mode="edge")
    count = len(cepstra)

    def at(shift: int) -> Floats:
        return padded[3 + shift : 3 + shift + count]

    return np.stack([at(0), at(2) - at(-2), (at(3) - at(-1)) - (at(1) - at(-3))], axis=1)
