"""Recordings made for tests."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from uuid import UUID, uuid4

from appliance.calls.domain import RecordingGrant
from appliance.recordings.container import ChunkCipher, Header, read_chunks
from appliance.security.sealing import new_key


def header(recording_id: UUID | None = None) -> Header:
    return Header(
        recording_id=recording_id or uuid4(),
        organization_id=UUID(int=1),
        call_id=UUID(int=2),
        attempt=1,
        started_at="2030-01-07T12:00:00.000+00:00",
    )


def frames(key: bytes, of: Header, chunks: list[bytes]) -> list[bytes]:
    """The header, a frame for each chunk, and the final frame."""
    start = of.encode()
    cipher = ChunkCipher(key, of, start)
    return [start, *(cipher.seal(i, chunk) for i, chunk in enumerate(chunks)), cipher.seal_final(len(chunks))]


def opened(content: bytes, key: bytes) -> bytes:
    """The plain bytes of a whole container; IntegrityError as the reader raises it."""
    stream = BytesIO(content)
    found, start = Header.read(stream)
    return b"".join(read_chunks(stream, ChunkCipher(key, found, start)))


def opened_file(path: Path, key: bytes) -> bytes:
    return opened(path.read_bytes(), key)


def grant(key: bytes | None = None) -> RecordingGrant:
    return RecordingGrant(
        recording_id=uuid4(),
        organization_id=UUID(int=1),
        bucket="recordings",
        object="test",
        data_key=b64encode(key or new_key()).decode(),
        wrapped_data_key=b64encode(b"wrapped").decode(),
    )
