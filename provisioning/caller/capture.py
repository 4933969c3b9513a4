"""What went over one direction of a call's RTP, on the machine's wall clock.

Times are nanoseconds of CLOCK_REALTIME: the kernel's receive time (SO_TIMESTAMPNS) for what was heard, the
moment of `send` for what was said. So both directions, and the captures of several callers, share one clock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from provisioning.caller.codecs import RTP_CLOCK_HZ, Samples

VOICED_RMS = 220.0
"""RMS of a 20 ms frame of 16-bit samples (-43 dBFS) from which it counts as speech; telephone silence and
comfort noise lie well below it, the quietest vowels well above."""
_JUMP_NS = 400_000_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet: `timestamp` counts RTP clock ticks (8 kHz), `at_ns` is when it passed."""

    at_ns: int
    sequence: int
    timestamp: int
    ssrc: int
    samples: Samples
    rms: float

    @property
    def voiced(self) -> bool:
        return self.rms >= VOICED_RMS


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of speech: the times of the packets with its first and with its last speech sample."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


class Capture:
    """The packets of one direction in the order of their passing. Safe to read from any thread."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._packets: list[Packet] = []
        self._lock = threading.Lock()
        self._last_voiced_ns = 0

    def add(self, at_ns: int, sequence: int, timestamp: int, ssrc: int, samples: Samples) -> Packet:
        rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
        packet = Packet(at_ns, sequence, timestamp, ssrc, samples, rms)
        with self._lock:
            self._packets.append(packet)
            if packet.voiced:
                self._last_voiced_ns = at_ns
        return packet

    @property
    def packets(self) -> list[Packet]:
        with self._lock:
            return list(self._packets)

    def __len__(self) -> int:
        with self._lock:
            return len(self._packets)

    @property
    def start_ns(self) -> int:
        """When the first packet passed; 0 before that."""
        with self._lock:
            return self._packets[0].at_ns if self._packets else 0

    @property
    def last_voiced_ns(self) -> int:
        """When the newest packet with speech passed; 0 before that."""
        with self._lock:
            return self._last_voiced_ns

    def since(self, start_ns: int, end_ns: int | None = None) -> list[Packet]:
        """The packets of a time window."""
        with self._lock:
            index = len(self._packets)
            while index > 0 and self._packets[index - 1].at_ns >= start_ns:
                index -= 1
            found = self._packets[index:]
        return found if end_ns is None else [packet for packet in found if packet.at_ns < end_ns]

    def first_speech_after(self, start_ns: int) -> int | None:
        """When the first packet of speech after that moment passed; None while there is none.

        A single loud packet is a click: three of five in a row must be voiced.
        """
        packets = self.since(start_ns)
        for index, packet in enumerate(packets):
            if packet.voiced and sum(other.voiced for other in packets[index : index + 5]) >= 3:
                return packet.at_ns
        return None

    def speech(self, *, gap_ms: int = 400, start_ns: int = 0) -> list[Span]:
        """The stretches of speech; pauses shorter than `gap_ms` do not part one."""
        spans: list[Span] = []
        voiced = [packet.at_ns for packet in self.since(start_ns) if packet.voiced]
        for at_ns in voiced:
            if spans and at_ns - spans[-1].end_ns <= gap_ms * 1_000_000:
                spans[-1] = Span(spans[-1].start_ns, at_ns)
            else:
                spans.append(Span(at_ns, at_ns))
        return [span for span in spans if span.seconds >= 0.04]

    def pcm(self, start_ns: int | None = None, end_ns: int | None = None) -> Samples:
        """The samples from `start_ns` to `end_ns`, each where the clock says; silence where nothing came.

        Within a run of one source the RTP timestamps place the packets, so jitter of the network neither
        stretches nor tears the sound; the run itself is placed by its quickest packet.
        """
        packets = self.packets
        if not packets:
            return np.zeros(0, np.int16)
        begin = packets[0].at_ns if start_ns is None else start_ns
        finish = packets[-1].at_ns + 20_000_000 if end_ns is None else end_ns
        length = max(0, (finish - begin) * self.rate_hz // 1_000_000_000)
        sound = np.zeros(length, np.int16)
        for run in _runs(packets):
            origin = min(packet.at_ns - _ticks_ns(packet, run[0]) for packet in run)
            for packet in run:
                place = round((origin + _ticks_ns(packet, run[0]) - begin) * self.rate_hz / 1e9)
                first, last = max(0, place), min(length, place + len(packet.samples))
                if first < last:
                    sound[first:last] = packet.samples[first - place : last - place]
        return sound


def _ticks_ns(packet: Packet, first: Packet) -> int:
    ticks = (packet.timestamp - first.timestamp + 2**31) % 2**32 - 2**31
    return ticks * 1_000_000_000 // RTP_CLOCK_HZ


def _runs(packets: list[Packet]) -> list[list[Packet]]:
    """Packets of one source whose timestamps go on with the clock; a jump begins a new run."""
    runs: list[list[Packet]] = []
    for packet in packets:
        run = runs[-1] if runs else None
        if run and run[0].ssrc == packet.ssrc:
            drift = (packet.at_ns - run[-1].at_ns) - (_ticks_ns(packet, run[0]) - _ticks_ns(run[-1], run[0]))
            if abs(drift) < _JUMP_NS:
                run.append(packet)
                continue
        runs.append([packet])
    return runs
