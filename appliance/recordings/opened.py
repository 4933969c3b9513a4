"""A sealed recording as a WAV that can be read from any byte on: what a player needs to seek in a long call.

Only what is asked for is opened, and nothing plain is written anywhere.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import numpy as np

from appliance.errors import IntegrityError
from appliance.recordings.container import ChunkCipher, Header
from appliance.security.frames import FINAL, TAG_BYTES, U32

WAV_HEADER_BYTES = 44
_FULL_SCALE = 32768


@dataclass(frozen=True)
class _Chunk:
    """Where a chunk's sealed bytes lie in the file, and where its plain bytes lie in the sound."""

    offset: int
    sealed_bytes: int
    first_byte: int


class OpenedRecording:
    """One sealed recording in an open file. Reads from threads side by side are safe (`pread`)."""

    def __init__(self, file: BinaryIO, header: Header, cipher: ChunkCipher, chunks: list[_Chunk]) -> None:
        self._file = file
        self._cipher = cipher
        self._chunks = chunks
        self._starts = [chunk.first_byte for chunk in chunks]
        self.header = header
        last = chunks[-1] if chunks else None
        self.pcm_bytes = last.first_byte + last.sealed_bytes - TAG_BYTES if last else 0

    @classmethod
    def open(cls, path: Path, data_key: bytes, recording_id: UUID) -> OpenedRecording:
        """Reads the places of all chunks and proves the end. Blocks. IntegrityError when it was altered."""
        file = path.open("rb")
        try:
            header, header_bytes = Header.read(file)
            if header.recording_id != recording_id:
                raise IntegrityError("Another recording lies here.", remedy="Restore it from a backup.")
            cipher = ChunkCipher(data_key, header, header_bytes)
            return cls(file, header, cipher, _places(file, cipher))
        except BaseException:
            file.close()
            raise

    @property
    def wav_bytes(self) -> int:
        return WAV_HEADER_BYTES + self.pcm_bytes

    @property
    def seconds(self) -> float:
        return self.pcm_bytes / (2 * self.header.channels * self.header.sample_rate_hz)

    def wav(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes `[start, end)` of the WAV file, a second at a time. Blocks at each step."""
        if start < WAV_HEADER_BYTES:
            yield self._wav_header()[start : min(end, WAV_HEADER_BYTES)]
        start, end = max(0, start - WAV_HEADER_BYTES), min(end - WAV_HEADER_BYTES, self.pcm_bytes)
        if start >= end:
            return
        for index in range(bisect_right(self._starts, start) - 1, len(self._chunks)):
            first = self._chunks[index].first_byte
            if first >= end:
                return
            plain = self._plain(index)
            yield plain[max(0, start - first) : end - first]

    def peaks(self, count: int) -> list[list[int]]:
        """The loudest sample of each of `count` equal stretches, 0 to 100, for each channel. Blocks."""
        channels = self.header.channels
        frames = self.pcm_bytes // (2 * channels)
        loudest = np.zeros((count, channels), dtype=np.int32)
        at = 0
        for index in range(len(self._chunks)):
            samples = np.frombuffer(self._plain(index), dtype="<i2").reshape(-1, channels)
            stretch = ((at + np.arange(len(samples))) * count) // max(frames, 1)
            firsts = np.flatnonzero(np.diff(stretch, prepend=-1))
            found = np.maximum.reduceat(np.abs(samples.astype(np.int32)), firsts, axis=0)
            places = stretch[firsts]
            loudest[places] = np.maximum(loudest[places], found)
            at += len(samples)
        scaled = np.rint(loudest * (100 / _FULL_SCALE)).astype(int)
        return [scaled[:, channel].tolist() for channel in range(channels)]

    def _plain(self, index: int) -> bytes:
        chunk = self._chunks[index]
        sealed = os.pread(self._file.fileno(), chunk.sealed_bytes, chunk.offset)
        return self._cipher.open(index, sealed, final=False)

    def _wav_header(self) -> bytes:
        channels, rate = self.header.channels, self.header.sample_rate_hz
        return struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + self.pcm_bytes, b"WAVE", b"fmt ", 16, 1, channels, rate),
            *(rate * channels * 2, channels * 2, 16, b"data", self.pcm_bytes),
        )


def _places(file: BinaryIO, cipher: ChunkCipher) -> list[_Chunk]:
    """Walks the frames without opening them; only the final one, which is empty, is opened."""
    chunks: list[_Chunk] = []
    plain_bytes = 0
    while True:
        word = file.read(U32.size)
        if len(word) < U32.size:
            raise IntegrityError("The recording ends too early.", remedy="Restore it from a backup.")
        (length,) = U32.unpack(word)
        final, length = bool(length & FINAL), length & ~FINAL
        if length < TAG_BYTES:
            raise IntegrityError("The recording was altered.", remedy="Restore it from a backup.")
        if final:
            cipher.open(len(chunks), file.read(length), final=True)
            return chunks
        chunks.append(_Chunk(file.tell(), length, plain_bytes))
        plain_bytes += length - TAG_BYTES
        file.seek(length, os.SEEK_CUR)
