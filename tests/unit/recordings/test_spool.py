"""The spool survives its writer: killed at any byte, its complete chunks are there and can be sealed."""

from __future__ import annotations

import os
import resource
import signal
from base64 import b64decode
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Conflict, IntegrityError, Unavailable
from appliance.recordings.container import CHUNK_BYTES, SAMPLE_RATE_HZ
from appliance.recordings.spool import (
    Sealed,
    SpoolWriter,
    locked_spool,
    remove_unfinished,
    seal_torn,
    waiting_spools,
)
from appliance.security.sealing import new_key
from tests.unit.recordings.sample import grant, opened_file

CALL = UUID(int=2)
KEY = bytes(range(32))


def _writer(folder: Path, key: bytes = KEY) -> SpoolWriter:
    return SpoolWriter.create(folder, grant(key), call_id=CALL, attempt=1)


def _seal(path: Path, key: bytes = KEY) -> Sealed:
    with locked_spool(path) as file:
        assert file is not None
        return seal_torn(file, key)


def test_what_is_appended_in_any_pieces_comes_back(tmp_path: Path) -> None:
    pcm = os.urandom(CHUNK_BYTES * 2 + 4 * 777)
    writer = _writer(tmp_path)
    for start in range(0, len(pcm), 4 * 333):
        writer.append(pcm[start : start + 4 * 333])
    assert writer.seconds == len(pcm) / 4 / SAMPLE_RATE_HZ
    writer.close()
    writer.close()
    assert opened_file(writer.path, KEY) == pcm
    sealed = _seal(writer.path)
    assert sealed.seconds == len(pcm) / 4 / SAMPLE_RATE_HZ
    assert sealed.size_bytes == writer.path.stat().st_size
    assert opened_file(writer.path, KEY) == pcm


def test_nothing_plain_is_ever_on_the_disk(tmp_path: Path) -> None:
    spoken = b"this is what the caller said to us on the telephone, word by wo!"
    writer = _writer(tmp_path)
    for _ in range(CHUNK_BYTES * 2 // len(spoken)):
        writer.append(spoken)
        assert spoken not in writer.path.read_bytes()
    writer.close()
    content = writer.path.read_bytes()
    assert len(content) > CHUNK_BYTES * 2
    assert not any(spoken[i : i + 16] in content for i in range(len(spoken) - 16))
    assert KEY not in content


def test_a_spool_that_is_written_is_left_alone_and_found_afterwards(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    assert waiting_spools(tmp_path) == [writer.path]
    with locked_spool(writer.path) as file:
        assert file is None
    writer.close()
    with locked_spool(writer.path) as file:
        assert file is not None


@given(data=st.data())
def test_torn_at_any_byte_the_complete_chunks_are_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    writer = _writer(folder)
    head = writer.path.stat().st_size
    pcm = os.urandom(CHUNK_BYTES) + os.urandom(400)
    writer.append(pcm)
    writer.close()
    whole = writer.path.read_bytes()
    cut = data.draw(st.integers(head, len(whole)))
    writer.path.write_bytes(whole[:cut] + bytes(data.draw(st.sampled_from([0, 70_000]))))
    if cut == len(whole):
        writer.path.write_bytes(whole)
    sealed = _seal(writer.path)
    kept = opened_file(writer.path, KEY)
    assert pcm.startswith(kept)
    frame = 4 + CHUNK_BYTES + 16
    assert len(kept) == (0 if cut < head + frame else CHUNK_BYTES if cut < head + frame + 420 else len(pcm))
    assert sealed.seconds == len(kept) / 4 / SAMPLE_RATE_HZ
    assert _seal(writer.path) == sealed, "sealing again changes nothing"
    if len(kept) == len(pcm):
        assert writer.path.read_bytes() == whole, "whoever seals writes the same bytes"


def test_a_killed_writer_leaves_a_spool_that_can_be_sealed(tmp_path: Path) -> None:
    """A real process, killed by SIGKILL while it holds the lock."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            writer = _writer(tmp_path)
            writer.append(bytes([7]) * (CHUNK_BYTES * 2 + 400))
            os.write(tell, b".")
            signal.pause()
        finally:
            os._exit(1)
    assert os.read(told, 1) == b"."
    (path,) = waiting_spools(tmp_path)
    with locked_spool(path) as file:
        assert file is None, "its writer lives"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(told)
    os.close(tell)
    sealed = _seal(path)
    assert sealed.seconds == 2.0
    assert opened_file(path, KEY) == bytes([7]) * (CHUNK_BYTES * 2)


def test_damage_in_the_middle_changes_nothing_and_is_told(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.append(bytes(CHUNK_BYTES * 3))
    writer.close()
    content = bytearray(writer.path.read_bytes())
    content[len(content) // 2] ^= 1
    writer.path.write_bytes(content)
    with pytest.raises(IntegrityError):
        _seal(writer.path)
    assert writer.path.read_bytes() == content


def test_another_key_changes_nothing_and_is_told(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.append(bytes(CHUNK_BYTES))
    writer.close()
    content = writer.path.read_bytes()
    with pytest.raises(IntegrityError):
        _seal(writer.path, new_key())
    assert writer.path.read_bytes() == content


def test_the_same_recording_is_not_begun_twice(tmp_path: Path) -> None:
    given_once = grant(KEY)
    writer = SpoolWriter.create(tmp_path, given_once, call_id=CALL, attempt=1)
    with pytest.raises(Conflict):
        SpoolWriter.create(tmp_path, given_once, call_id=CALL, attempt=1)
    writer.append(bytes(400))
    writer.close()
    assert opened_file(writer.path, b64decode(given_once.data_key)) == bytes(400)
    assert [path.name for path in writer.path.parent.iterdir()] == [writer.path.name]


def test_half_a_frame_is_a_mistake(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    with pytest.raises(ValueError, match="both channels"):
        writer.append(b"\x00\x00")
    writer.close()


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """The limit of a file's size stands for the full disk: the kernel refuses in the middle of a write."""
    writer = _writer(tmp_path)
    writer.append(bytes([3]) * CHUNK_BYTES)
    good = writer.path.stat().st_size
    with _file_size_limit(good + 1000), pytest.raises(Unavailable, match="spool"):
        writer.append(bytes([4]) * CHUNK_BYTES)
    with pytest.raises(Unavailable):
        writer.append(bytes([5]) * CHUNK_BYTES)
    writer.close()
    assert writer.path.stat().st_size == good
    assert _seal(writer.path).seconds == 1.0
    assert opened_file(writer.path, KEY) == bytes([3]) * CHUNK_BYTES


def test_what_a_writer_left_before_it_had_a_name_is_removed(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    left = writer.path.with_name("left.123.new")
    left.write_bytes(b"TRKREC01")
    remove_unfinished(tmp_path)
    assert not left.exists()
    assert writer.path.exists()
    writer.close()


class _file_size_limit:  # noqa: N801 - reads as a word in a with statement
    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        signal.signal(signal.SIGXFSZ, self._handler)
