"""Captures: speech is found where it is, and jitter of the network neither stretches nor tears the sound."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.caller.capture import Capture, Span
from provisioning.caller.codecs import make_codec
from provisioning.caller.rtp import Utterance
from provisioning.caller.voice import utterances

FRAME_NS = 20_000_000
TONE = (6000 * np.sin(np.arange(160) * 2 * np.pi / 20)).astype(np.int16)
SILENCE = np.zeros(160, np.int16)


def capture(pattern: str, *, start_ns: int = 0, jitter_ns: list[int] | None = None) -> Capture:
    """One packet a letter: `s` speech, anything else silence."""
    made = Capture(8000)
    for index, letter in enumerate(pattern):
        late = jitter_ns[index % len(jitter_ns)] if jitter_ns else 0
        made.add(
            start_ns + index * FRAME_NS + late, index, index * 160, 1, TONE if letter == "s" else SILENCE
        )
    return made


def test_a_click_is_no_speech() -> None:
    assert capture("....s......").first_speech_after(0) is None
    assert capture("....s...sss.").first_speech_after(0) == 8 * FRAME_NS
    assert capture("....s.ss.").first_speech_after(0) == 4 * FRAME_NS


def test_stretches_of_speech() -> None:
    found = capture("..ssss..ssss" + "." * 40 + "sss.").speech(gap_ms=400)
    assert found == [Span(2 * FRAME_NS, 11 * FRAME_NS), Span(52 * FRAME_NS, 54 * FRAME_NS)]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 60_000_000), min_size=1, max_size=20))
def test_jitter_does_not_tear_the_sound(jitter_ns: list[int]) -> None:
    smooth = capture("..ssss..ss....").pcm(0, 14 * FRAME_NS)
    least = min(jitter_ns[index % len(jitter_ns)] for index in range(14))
    shaken = capture("..ssss..ss....", jitter_ns=jitter_ns).pcm(least, least + 14 * FRAME_NS)
    assert np.array_equal(smooth, shaken)


def test_a_gap_stays_a_gap_and_a_new_source_is_placed_by_the_clock() -> None:
    made = capture("ssss")
    made.add(50 * FRAME_NS, 9, 900_000, 2, TONE)
    sound = made.pcm(0, 51 * FRAME_NS)
    assert len(sound) == 51 * 160
    assert np.any(sound[: 4 * 160])
    assert not np.any(sound[4 * 160 : 50 * 160])
    assert np.array_equal(sound[50 * 160 :], TONE)


def test_an_utterance_knows_its_first_and_last_speech() -> None:
    sound = np.concatenate([SILENCE, SILENCE, TONE, TONE, SILENCE])
    utterance = Utterance(sound)
    assert (utterance.first_index, utterance.last_index) == (320, 639)


def test_a_recording_is_cut_at_its_silences() -> None:
    quiet = np.zeros(8000, np.int16)
    speech = np.tile(TONE, 50)
    pause = np.zeros(2000, np.int16)
    pieces = utterances(np.concatenate([quiet, speech, pause, speech, quiet, speech]), 8000)
    assert [round(len(piece) / 8000, 1) for piece in pieces] == [2.5, 1.1]


def test_g711_is_the_standards_table() -> None:
    """ITU-T G.711: the values of the first, middle and last codes, and each code survives a round."""
    for name, codes in {
        "ulaw": {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0, 0x70: -120},
        "alaw": {0x2A: -32256, 0xAA: 32256, 0xD5: 8, 0x55: -8},
    }.items():
        codec = make_codec(name)
        for code, value in codes.items():
            assert codec.decode(bytes([code]))[0] == value
        values = codec.decode(bytes(range(256)))
        assert np.array_equal(codec.decode(codec.encode(values)), values)
