"""A sealed recording read from any byte on, and how loud it is."""

from __future__ import annotations

import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import IntegrityError
from appliance.recordings.opened import WAV_HEADER_BYTES, OpenedRecording
from tests.unit.recordings.sample import frames, header

KEY = bytes(range(32))
HEADER = header()


def pcm(*seconds: tuple[int, int]) -> list[bytes]:
    """A chunk a second, each with one loudness of the caller (left) and one of the agent (right)."""
    return [np.tile(np.array(pair, dtype="<i2"), (16_000, 1)).tobytes() for pair in seconds]


def opened(path: Path, chunks: list[bytes]) -> OpenedRecording:
    path.write_bytes(b"".join(frames(KEY, HEADER, chunks)))
    return OpenedRecording.open(path, KEY, HEADER.recording_id)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> OpenedRecording:
    chunks = [*pcm((1000, -2000), (0, 32_767), (16_384, 0)), pcm((5, 5))[0][:4000]]
    return opened(tmp_path_factory.mktemp("recordings") / "sealed", chunks)


def test_it_is_a_wav_of_both_channels(recording: OpenedRecording) -> None:
    whole = b"".join(recording.wav(0, recording.wav_bytes))
    assert len(whole) == recording.wav_bytes
    with wave.open(BytesIO(whole)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 16_000, 2)
        assert file.getnframes() == 49_000
    assert recording.seconds == 49_000 / 16_000


@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=25)
def test_any_range_is_the_same_bytes(recording: OpenedRecording, data: st.DataObject) -> None:
    whole = b"".join(recording.wav(0, recording.wav_bytes))
    start = data.draw(st.integers(0, recording.wav_bytes))
    end = data.draw(st.integers(start, recording.wav_bytes))
    assert b"".join(recording.wav(start, end)) == whole[start:end]


def test_the_peaks_follow_each_side(recording: OpenedRecording) -> None:
    caller, agent = recording.peaks(49)
    assert caller[:16] == [3] * 16
    assert agent[17:32] == [100] * 15
    assert caller[33:48] == [50] * 15


def test_a_call_without_sound_has_no_peaks(tmp_path: Path) -> None:
    silent = opened(tmp_path / "sealed", [])
    assert silent.wav_bytes == WAV_HEADER_BYTES
    assert silent.peaks(4) == [[0] * 4, [0] * 4]


def test_a_cut_recording_is_not_opened(tmp_path: Path) -> None:
    parts = frames(KEY, HEADER, pcm((1, 1), (2, 2)))
    for kept in (parts[:-1], parts[:-2], [parts[0], parts[1], parts[3]]):
        (tmp_path / "sealed").write_bytes(b"".join(kept))
        with pytest.raises(IntegrityError):
            OpenedRecording.open(tmp_path / "sealed", KEY, HEADER.recording_id)


def test_an_altered_second_is_not_played(tmp_path: Path) -> None:
    content = bytearray(b"".join(frames(KEY, HEADER, pcm((1, 1), (2, 2)))))
    content[len(content) // 2] ^= 1
    (tmp_path / "sealed").write_bytes(content)
    altered = OpenedRecording.open(tmp_path / "sealed", KEY, HEADER.recording_id)
    with pytest.raises(IntegrityError):
        b"".join(altered.wav(0, altered.wav_bytes))
