"""The spool: a recording on the worker's disk while the call lasts, and until it is stored.

`<spool_dir>/recordings/<recording_id>.spool` is locked (flock) by its writer. Unlocked, it waits for the jobs
worker: sealed by its writer, or torn when the writer was killed, and then `seal_torn` ends it behind its last
complete chunk. Nothing plain is ever on the disk; at most the last second of a call is lost with its process.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b64decode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from appliance.calls.domain import RecordingGrant
from appliance.errors import Conflict, IntegrityError, Unavailable
from appliance.recordings.container import (
    BYTES_PER_FRAME,
    CHUNK_BYTES,
    SAMPLE_RATE_HZ,
    ChunkCipher,
    Header,
    read_frame,
)
from appliance.security.frames import TAG_BYTES

SUFFIX = ".spool"
_UNFINISHED = ".new"
_READ_BYTES = 1 << 20
_U32_BYTES = 4
_ZEROS_THAT_ARE_NO_CHANCE = 16


def spool_folder(spool_dir: Path) -> Path:
    """The folder of the recordings, made if it is missing; readable by its owner alone."""
    folder = spool_dir / "recordings"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


class SpoolWriter:
    """Writes one recording. Not for several threads at once; `append` may wait for the disk once a second,
    so that an event loop calls it by `asyncio.to_thread`."""

    def __init__(self, path: Path, file: BinaryIO, cipher: ChunkCipher, written: int) -> None:
        self.path = path
        self._file = file
        self._cipher = cipher
        self._good_bytes = written
        self._buffer = bytearray()
        self._index = 0
        self._appended = 0
        self._failed = False

    @classmethod
    def create(cls, spool_dir: Path, grant: RecordingGrant, *, call_id: UUID, attempt: int) -> SpoolWriter:
        """Starts the spool of a recording that the tool API granted.

        Conflict if it exists already; Unavailable if the disk is full or cannot be written.
        """
        header = Header(
            recording_id=grant.recording_id,
            organization_id=grant.organization_id,
            call_id=call_id,
            attempt=attempt,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        header_bytes = header.encode()
        cipher = ChunkCipher(b64decode(grant.data_key), header, header_bytes)
        try:
            folder = spool_folder(spool_dir)
            path = folder / f"{grant.recording_id}{SUFFIX}"
            # The name appears only with the lock held and the header written: nobody ever sees half a start.
            unfinished = folder / f"{grant.recording_id}.{os.getpid()}{_UNFINISHED}"
            descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
            file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115 - the writer owns it
        except OSError as error:
            raise _disk(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(file, header_bytes)
            os.link(unfinished, path)
        except FileExistsError as error:
            file.close()
            raise Conflict(f"The recording {grant.recording_id} is being written already.") from error
        except OSError as error:
            file.close()
            raise _disk(error) from error
        finally:
            unfinished.unlink(missing_ok=True)
        return cls(path, file, cipher, len(header_bytes))

    @property
    def seconds(self) -> float:
        """How much was appended."""
        return self._appended / (SAMPLE_RATE_HZ * BYTES_PER_FRAME)

    def append(self, pcm: bytes | bytearray | memoryview) -> None:
        """Takes interleaved 16-bit little-endian stereo at 16 kHz, caller left, agent right, in whole frames.

        Raises Unavailable if the disk does not take it; what was written before stays good.
        """
        if len(pcm) % BYTES_PER_FRAME:
            raise ValueError("both channels of each frame, please")
        if self._failed:
            raise Unavailable("The recording stopped when the disk failed.")
        self._buffer += pcm
        self._appended += len(pcm)
        while len(self._buffer) >= CHUNK_BYTES:
            chunk = bytes(self._buffer[:CHUNK_BYTES])
            del self._buffer[:CHUNK_BYTES]
            self._write(chunk)

    def close(self) -> None:
        """Writes what is left, seals, and gives the spool to the jobs worker. Harmless when repeated."""
        if self._file.closed:
            return
        try:
            if self._buffer and not self._failed:
                chunk = bytes(self._buffer)
                self._buffer.clear()
                self._write(chunk)
            if not self._failed:
                self._put(self._cipher.seal_final(self._index))
        finally:
            self._file.close()

    def _write(self, chunk: bytes) -> None:
        self._put(self._cipher.seal(self._index, chunk))
        self._index += 1

    def _put(self, frame: bytes) -> None:
        try:
            _write_all(self._file, frame)
            os.fdatasync(self._file.fileno())
        except OSError as error:
            self._failed = True
            self._file.truncate(self._good_bytes)
            raise _disk(error) from error
        self._good_bytes += len(frame)


@dataclass(frozen=True)
class Sealed:
    """A spool that is ready to be stored; `sha256` and `size_bytes` are of the file as it is."""

    header: Header
    sha256: str
    size_bytes: int
    seconds: float


@contextmanager
def locked_spool(path: Path) -> Generator[BinaryIO | None]:
    """The spool, open and locked; None while its writer (or another job) holds it, or if it is gone."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if path.exists() else None


def seal_torn(file: BinaryIO, data_key: bytes) -> Sealed:
    """Checks every chunk of a spool, ends it behind the last complete one if it is torn, and measures it.

    IntegrityError if a chunk does not fit its key or its place: nothing is changed then.
    """
    file.seek(0)
    header, header_bytes = Header.read(file)
    cipher = ChunkCipher(data_key, header, header_bytes)
    index, plain_bytes, sealed = 0, 0, False
    while True:
        position = file.tell()
        frame = None if _only_zeros_follow(file) else read_frame(file)
        if frame is None:
            break
        final, content = frame
        try:
            cipher.open(index, content, final=final)
        except IntegrityError:
            # After a loss of power the end of a file may be zeros that nobody wrote.
            if content[-1] or _zeros_to_the_end(file, len(content)) < _ZEROS_THAT_ARE_NO_CHANCE:
                raise
            break
        if final:
            sealed = True
            break
        plain_bytes += len(content) - TAG_BYTES
        index += 1
    if sealed and file.read(1):
        raise IntegrityError(f"The spool of the recording {header.recording_id} goes on after its end.")
    if not sealed:
        file.seek(position)
        file.truncate()
        file.write(cipher.seal_final(index))
        file.flush()
        os.fsync(file.fileno())
    digest, size = _measure(file)
    seconds = plain_bytes / (header.channels * 2 * header.sample_rate_hz)
    return Sealed(header, digest, size, seconds)


def waiting_spools(spool_dir: Path) -> list[Path]:
    """All spools, the oldest first; those of calls in progress too."""
    return sorted(spool_folder(spool_dir).glob(f"*{SUFFIX}"), key=lambda path: path.name)


def set_aside(path: Path) -> Path:
    """Moves a damaged spool out of the way, to be looked at by a person; nothing of it is thrown away."""
    kept = path.with_suffix(".damaged")
    path.rename(kept)
    return kept


def remove_unfinished(spool_dir: Path) -> None:
    """Takes away what a writer left that died before its spool had a name. It holds a header and no sound."""
    for path in spool_folder(spool_dir).glob(f"*{_UNFINISHED}"):
        with locked_spool(path) as file:
            if file is not None and file.seek(0, os.SEEK_END) > 0:
                path.unlink(missing_ok=True)


def _only_zeros_follow(file: BinaryIO) -> bool:
    word = file.read(_U32_BYTES)
    file.seek(-len(word), os.SEEK_CUR)
    return not any(word) and _zeros_to_the_end(file, 0) > 0


def _zeros_to_the_end(file: BinaryIO, back: int) -> int:
    """How many zeros end the file, if nothing else follows here, those of the last `back` bytes included."""
    position = file.tell()
    zeros = 0
    while block := file.read(_READ_BYTES):
        if block.strip(b"\x00"):
            file.seek(position)
            return 0
        zeros += len(block)
    file.seek(position - back)
    before = file.read(back)
    return zeros + len(before) - len(before.rstrip(b"\x00"))


def _measure(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest, size = sha256(), 0
    while block := file.read(_READ_BYTES):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _disk(error: OSError) -> Unavailable:
    return Unavailable(
        f"The recording cannot be spooled: {error.strerror}.",
        remedy="Look at the disk of the spool (spool_dir).",
    )
