"""The format of a recording: a header, then AES-256-GCM chunks. docs/adr/0010 says why this and not another.

    magic "TRKREC01" | header length u32 | header (JSON) | frame | frame | ... | final frame
    frame: u32 (bit 31: final, bits 0-30: length of what follows) | ciphertext and tag

The content is interleaved 16-bit little-endian PCM: left the caller, right the agent. The chunk key is
derived from the recording's data key and the whole header, so that a changed header opens nothing. The
nonce of a chunk is its index and its final flag, and both are authenticated together with the recording's
id: a chunk that was cut, moved, repeated or taken from another recording is found. The final chunk is
always empty: whoever seals a torn spool writes the very bytes that the first writer would have written, so
that no nonce ever meets two contents. Numbers are big-endian.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import IntegrityError
from appliance.security import frames
from appliance.security.frames import U32, FrameCipher
from appliance.security.sealing import KEY_BYTES

MAGIC = b"TRKREC01"
SAMPLE_RATE_HZ = 16_000
CHANNELS = 2
BYTES_PER_FRAME = CHANNELS * 2
CHUNK_BYTES = SAMPLE_RATE_HZ * BYTES_PER_FRAME
"""One second of both channels."""
_MAX_HEADER_BYTES = 16 * 1024
_RESTORE = "Restore it from a backup; the rest of the recordings is not concerned."


@dataclass(frozen=True)
class Header:
    """Which recording it is: readable by all, and not to be changed.

    The wrapped data key is not in it but in the database alone, so that deleting it there deletes the
    recording wherever copies of it lie.
    """

    recording_id: UUID
    organization_id: UUID
    call_id: UUID
    attempt: int
    started_at: str
    """ISO 8601, UTC."""
    channels: int = CHANNELS
    sample_rate_hz: int = SAMPLE_RATE_HZ

    def encode(self) -> bytes:
        """Magic, length and JSON."""
        fields = {
            "recording_id": str(self.recording_id),
            "organization_id": str(self.organization_id),
            "call_id": str(self.call_id),
            "attempt": self.attempt,
            "started_at": self.started_at,
            "channels": self.channels,
            "sample_rate_hz": self.sample_rate_hz,
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        return MAGIC + U32.pack(len(text)) + text

    @classmethod
    def read(cls, stream: BinaryIO) -> tuple[Header, bytes]:
        """The header and its exact bytes. IntegrityError if this is not the start of a recording."""
        start = stream.read(len(MAGIC) + U32.size)
        if len(start) != len(MAGIC) + U32.size or not start.startswith(MAGIC):
            raise IntegrityError("This is not a recording of Trunkline.", remedy=_RESTORE)
        (length,) = U32.unpack(start[len(MAGIC) :])
        text = stream.read(length) if length <= _MAX_HEADER_BYTES else b""
        if len(text) != length or length == 0:
            raise IntegrityError("The header of a recording is damaged.", remedy=_RESTORE)
        try:
            fields = json.loads(text)
            header = cls(
                recording_id=UUID(fields["recording_id"]),
                organization_id=UUID(fields["organization_id"]),
                call_id=UUID(fields["call_id"]),
                attempt=int(fields["attempt"]),
                started_at=str(fields["started_at"]),
                channels=int(fields["channels"]),
                sample_rate_hz=int(fields["sample_rate_hz"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntegrityError("The header of a recording is damaged.", remedy=_RESTORE) from error
        return header, start + text


class ChunkCipher:
    """Seals and opens the chunks of one recording."""

    def __init__(self, data_key: bytes, header: Header, header_bytes: bytes) -> None:
        if len(data_key) != KEY_BYTES:
            raise IntegrityError("The data key of a recording has the wrong length.", remedy=_RESTORE)
        info = b"trunkline/1/recording/" + sha256(header_bytes).digest()
        key = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(data_key)
        self._frames = FrameCipher(key, MAGIC + header.recording_id.bytes)
        self._recording_id = header.recording_id

    def seal(self, index: int, plain: bytes) -> bytes:
        """The frame of one chunk of 1 to CHUNK_BYTES bytes."""
        if not 0 < len(plain) <= CHUNK_BYTES:
            raise ValueError("a chunk has between one byte and one second")
        return self._frames.seal(index, plain, final=False)

    def seal_final(self, index: int) -> bytes:
        """The frame that ends the recording after `index` chunks."""
        return self._frames.seal(index, b"", final=True)

    def open(self, index: int, sealed: bytes, *, final: bool) -> bytes:
        """The plain bytes. IntegrityError if the chunk is not the one that belongs here."""
        try:
            return self._frames.open(index, sealed, final=final)
        except InvalidTag as error:
            raise IntegrityError(
                f"The recording {self._recording_id} was altered, or its key is another one "
                f"(second {index}).",
                remedy=_RESTORE,
                code="altered",
            ) from error


def read_chunks(stream: BinaryIO, cipher: ChunkCipher) -> Iterator[bytes]:
    """The PCM of a sealed recording, chunk by chunk; `stream` stands behind the header.

    IntegrityError, at the latest after the last chunk, if anything was changed, cut off, moved or appended.
    """
    index = 0
    while True:
        frame = read_frame(stream)
        if frame is None:
            _altered("ends too early")
        final, sealed = frame
        plain = cipher.open(index, sealed, final=final)
        if final:
            if plain or stream.read(1):
                _altered("goes on after its end")
            return
        yield plain
        index += 1


def read_frame(stream: BinaryIO) -> tuple[bool, bytes] | None:
    """`(final, sealed)` of the next frame, or None if the stream ends before the frame does."""
    try:
        return frames.read_frame(stream, CHUNK_BYTES)
    except ValueError:
        _altered("holds a chunk of an impossible length")


def _altered(how: str) -> NoReturn:
    raise IntegrityError(f"The recording was altered: it {how}.", remedy=_RESTORE, code="altered")
