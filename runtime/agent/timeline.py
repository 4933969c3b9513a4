"""Two channels of one call laid on one time line. Pure: positions are samples since its start."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
Channel = Literal[0, 1]
CALLER: Channel = 0
AGENT: Channel = 1

Samples = NDArray[np.int16]


class StereoTimeline:
    """Holds what has not been written yet: 16 kHz, caller on the left, agent on the right.

    Samples are placed where they belong and taken from the front, interleaved; where nobody placed anything
    there is silence. What comes too late for its place (its samples have been taken) is dropped. At most
    `longest_seconds` are held: beyond it the line moves on by itself and the oldest samples are lost.
    """

    def __init__(self, *, longest_seconds: float = 120.0) -> None:
        self._longest = int(longest_seconds * SAMPLE_RATE_HZ)
        self._start = 0
        self._data = np.zeros((SAMPLE_RATE_HZ, 2), np.int16)
        self._next = [0, 0]
        self.lost_samples = 0
        """Samples that nobody took in time."""

    @property
    def start(self) -> int:
        """Position of the first sample that has not been taken."""
        return self._start

    def next_position(self, channel: Channel) -> int:
        """Where the last placed sample of a channel ends."""
        return self._next[channel]

    def place(self, channel: Channel, position: int, samples: Samples) -> None:
        """Lays mono samples at `position`, over what is there."""
        if position < self._start:
            samples = samples[self._start - position :]
            position = self._start
        if not len(samples):
            return
        end = position + len(samples)
        if end - self._start > self._longest:
            excess = end - self._start - self._longest
            self.lost_samples += excess
            self.take(self._start + excess)
            self.place(channel, position, samples)
            return
        self._grow(end - self._start)
        at = position - self._start
        self._data[at : at + len(samples), channel] = samples
        self._next[channel] = max(self._next[channel], end)

    def erase_after(self, channel: Channel, position: int) -> None:
        """Takes back what was placed at `position` and later: it was never sent."""
        at = max(position - self._start, 0)
        self._data[at:, channel] = 0
        self._next[channel] = min(self._next[channel], max(position, self._start))

    def take(self, position: int) -> Samples:
        """All samples before `position`, interleaved (left, right, left, ...); empty when there are none."""
        count = max(position - self._start, 0)
        self._grow(count)
        taken = self._data[:count].reshape(-1).copy()
        self._data = self._data[count:].copy()
        self._start += count
        return taken

    def _grow(self, length: int) -> None:
        if length > len(self._data):
            more = max(length, len(self._data) * 2)
            grown = np.zeros((more, 2), np.int16)
            grown[: len(self._data)] = self._data
            self._data = grown


class Placement:
    """Where the next frame of a live stream belongs: behind the last one, or where the clock says.

    The clock is followed when the two are more than `tolerance_ms` apart (a gap, a stall, lost packets).
    """

    def __init__(self, *, tolerance_ms: int = 120) -> None:
        self._tolerance = tolerance_ms * SAMPLE_RATE_HZ // 1000
        self._next: int | None = None

    def position(self, by_clock: int, count: int) -> int:
        """The position of a frame of `count` samples that begins at `by_clock` by the clock."""
        position = by_clock
        if self._next is not None and abs(by_clock - self._next) <= self._tolerance:
            position = self._next
        self._next = position + count
        return position

    def restart(self) -> None:
        """The next frame follows the clock."""
        self._next = None
