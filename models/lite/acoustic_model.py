"""The packaged acoustic model of pocketsphinx, read from its files: phones, states and Gaussian mixtures.

pocketsphinx itself looks at the four best of 128 Gaussians and rounds to whole numbers, which is quick enough
for sentences; a short word is judged here by the whole mixtures. The model is a phonetically tied mixture:
each phone has a codebook of Gaussians for each of three streams (cepstra, first and second differences), and
each state of a triphone weighs them (files of Sphinx 3: `mdef` in its binary form, `means`, `variances`,
`sendump`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.lite.pronouncing import ACOUSTIC_MODEL, ADAPTED

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

SILENCE = "SIL"
_FILLERS = ("+NSN+", "+SPN+", SILENCE)
_STREAMS = 3
_WEIGHT_UNIT = 1024 * float(np.log(1.0001))
"""What one step of a byte in `sendump` is as a natural logarithm."""
_INSIDE, _FIRST, _LAST, _ALONE = range(4)
"""Where in its word a triphone stands."""
_SMALLEST_VARIANCE = 1e-4
_PHONE = np.dtype([("sequence", "<i4"), ("_", "<i4"), ("place", "u1"), ("triphone", "u1", 3)])


def read_gaussians(path: Path) -> Floats:
    """A `means` or `variances` file: `[codebooks, streams, densities, dimensions]`."""
    raw = path.read_bytes()
    start = raw.index(b"endhdr\n") + 7
    codebooks, streams, densities = struct.unpack_from("<3i", raw, start + 4)
    lengths = struct.unpack_from(f"<{streams}i", raw, start + 16)
    values = np.frombuffer(raw, "<f4", codebooks * streams * densities * lengths[0], start + 20 + 4 * streams)
    return values.reshape(codebooks, streams, densities, lengths[0]).astype(np.float64)


def write_gaussians(path: Path, values: Floats) -> None:
    """The counterpart of `read_gaussians`, without a checksum."""
    codebooks, streams, densities, dimensions = values.shape
    head = struct.pack("<I3i", 0x11223344, codebooks, streams, densities)
    lengths = struct.pack(f"<{streams}i", *[dimensions] * streams) + struct.pack("<i", values.size)
    path.write_bytes(b"s3\nversion 1.0\nendhdr\n" + head + lengths + values.astype("<f4").tobytes())


class _States:
    """The states (senones) of each phone in its surroundings."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        at = 12 + struct.unpack_from("<i", raw, 8)[0]
        phones_alone, phones, per_phone, _, self.count, _, sequences, _, branches, _ = struct.unpack_from(
            "<10i", raw, at
        )
        at += 40
        names = raw[at:].split(b"\0", phones_alone)[:phones_alone]
        self.numbers = {name.decode(): number for number, name in enumerate(names)}
        at += (sum(len(name) + 1 for name in names) + 3) // 4 * 4 + 8 * branches
        table = np.frombuffer(raw, _PHONE, phones, at)
        at += _PHONE.itemsize * phones + 4
        self._sequences = (
            np.frombuffer(raw, "<u2", sequences * per_phone, at)
            .reshape(sequences, per_phone)
            .astype(np.int64)
        )
        self._alone: Whole = table["sequence"][:phones_alone].astype(np.int64)
        self._triphones = {
            (*triphone, place): sequence
            for triphone, place, sequence in zip(
                table["triphone"][phones_alone:].tolist(),
                table["place"][phones_alone:].tolist(),
                table["sequence"][phones_alone:].tolist(),
                strict=True,
            )
        }
        self.phone_of = np.zeros(self.count, np.int64)
        for number, row in enumerate(table[:phones_alone]):
            self.phone_of[self._sequences[row["sequence"]]] = number
        for row in table[phones_alone:]:
            self.phone_of[self._sequences[row["sequence"]]] = row["triphone"][0]

    def of(self, phone: str, left: str, right: str, place: int) -> list[int]:
        """States of a phone between two others; those of the phone alone where nobody was heard saying it."""
        number = self.numbers
        key = (number[phone], number[left], number[right])
        for where in (place, _INSIDE, _FIRST, _LAST, _ALONE):
            if (*key, where) in self._triphones:
                return self._sequences[self._triphones[(*key, where)]].tolist()
        return self.of_phone(phone)

    def of_phone(self, phone: str) -> list[int]:
        return self._sequences[self._alone[self.numbers[phone]]].tolist()


class AcousticModel:
    """How likely each state makes each frame. `means` in place of the packaged ones where given."""

    def __init__(self, means: Floats | None = None) -> None:
        self._states = _States(ACOUSTIC_MODEL / "mdef")
        self.means = read_gaussians(ACOUSTIC_MODEL / "means") if means is None else means
        self.variances = np.maximum(read_gaussians(ACOUSTIC_MODEL / "variances"), _SMALLEST_VARIANCE)
        raw = (ACOUSTIC_MODEL / "sendump").read_bytes()
        shape = (_STREAMS, self.means.shape[2], self._states.count)
        size = int(np.prod(shape))
        self._weights = np.frombuffer(raw, np.uint8, size, len(raw) - size).reshape(shape)
        self.silence = self._states.of_phone(SILENCE)
        self.noise = self._states.of_phone("+NSN+")
        self.spoken = [
            state
            for phone in self._states.numbers
            if phone not in _FILLERS
            for state in self._states.of_phone(phone)
        ]
        """States of all phones of speech, whatever surrounds them."""

    def codebooks(self, states: Sequence[int] | Whole) -> Whole:
        return self._states.phone_of[np.asarray(states)]

    def weights(self, stream: int, states: Sequence[int] | Whole) -> Floats:
        """Logarithms of the mixture weights, `[densities, states]`."""
        return self._weights[stream][:, np.asarray(states)] * -_WEIGHT_UNIT

    def states_of(self, words: Sequence[Sequence[str]]) -> list[list[int]]:
        """States of each word of a phrase, its words given as phones. KeyError for an unknown phone."""
        phones = [phone for word in words for phone in word]
        around = [SILENCE, *phones, SILENCE]
        states: list[list[int]] = []
        at = 1
        for word in words:
            states.append([])
            for position in range(len(word)):
                first, last = position == 0, position == len(word) - 1
                place = _ALONE if first and last else _FIRST if first else _LAST if last else _INSIDE
                states[-1] += self._states.of(around[at], around[at - 1], around[at + 1], place)
                at += 1
        return states

    def distances(self, frames: Floats, codebook: int, stream: int) -> Floats:
        """Log-likelihood of each frame under each Gaussian, `[frames, densities]`."""
        mean, variance = self.means[codebook, stream], self.variances[codebook, stream]
        constant = (mean**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
        return -0.5 * (frames**2 @ (1 / variance).T - 2 * frames @ (mean / variance).T + constant)

    def log_likelihood(self, frames: Floats, states: Sequence[int] | Whole) -> Floats:
        """Of frames `[count, 3, 13]` under states: `[count, states]`."""
        wanted = np.asarray(states)
        owners = self.codebooks(wanted)
        found = np.zeros((len(frames), wanted.size))
        for codebook in np.unique(owners):
            mine = np.flatnonzero(owners == codebook)
            for stream in range(_STREAMS):
                likelihood = self.distances(frames[:, stream], int(codebook), stream)
                highest = likelihood.max(axis=1, keepdims=True)
                mixture = np.exp(likelihood - highest) @ np.exp(self.weights(stream, wanted[mine]))
                found[:, mine] += highest + np.log(mixture + 1e-30)
        return found


@cache
def adapted_model() -> AcousticModel:
    """The model with the means that `models/lite/adapt.py` made; shared by all streams of a process."""
    return AcousticModel(read_gaussians(ADAPTED / "means"))
