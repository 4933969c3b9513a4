"""The sound that leaves is 24 kHz, even, without silence at its beginning, and never clipped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tts.cache import SoundCache, content_key
from models.tts.clause import Clause, Manner, Sounds, Words
from models.tts.shaping import Shaper, shape_whole


def tone(seconds: float, level: float, rate_hz: int = 22_050, lead: float = 0.0) -> np.ndarray:
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = level * np.sin(2 * np.pi * 220 * times)
    return np.concatenate([np.zeros(int(lead * rate_hz)), sound]).astype(np.float32)


def level(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("loudness", [0.01, 0.1, 0.9])
def test_every_clause_is_equally_loud_and_begins_at_once(loudness: float):
    shaped = shape_whole(tone(1.0, loudness, lead=0.7), 22_050)
    assert 0.98 < len(shaped) / 48_000 < 1.05
    assert 0.08 < level(shaped) < 0.12


def test_a_pause_follows_and_silence_is_nothing():
    shaped = shape_whole(tone(0.5, 0.3), 22_050, 1_000)
    assert np.frombuffer(shaped, "<i2")[-24_000:].any() == np.False_
    assert shape_whole(np.zeros(22_050, np.float32), 22_050) == b""
    assert shape_whole(np.zeros(0, np.float32), 22_050) == b""


def test_a_stream_becomes_even_and_loses_nothing():
    shaper = Shaper(24_000)
    sound = tone(2.0, 0.02, 24_000)
    parts = [shaper.take(sound[start : start + 4_800]) for start in range(0, len(sound), 4_800)]
    whole = b"".join([*parts, shaper.end()])
    assert abs(len(whole) - 2 * len(sound)) <= 2 * 24_000 * 0.02
    assert 0.08 < level(whole) < 0.12


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=500), st.integers(0, 50))
def test_no_sound_of_a_model_clips_or_breaks_it(values: list[float], pause_ms: int):
    shaped = shape_whole(np.array(values, np.float32), 22_050, pause_ms)
    assert len(shaped) % 2 == 0
    assert np.abs(np.frombuffer(shaped, "<i2").astype(int)).max(initial=0) <= 31_785


def test_the_cache_is_bounded_and_drops_what_was_longest_unused():
    cache = SoundCache(800)
    for name in "abcdefgh":
        cache.put(name, b"x" * 100)
    assert cache.get("a")
    cache.put("i", b"y" * 100)
    assert cache.get("b") is None
    assert cache.get("a")
    assert cache.size_bytes == 800
    cache.put("huge", b"z" * 101)
    assert cache.get("huge") is None
    cache.put("a", b"w" * 50)
    assert cache.size_bytes == 750


def test_whatever_changes_the_sound_changes_the_key():
    clause, manner = Clause((Words("hello"),), 10), Manner("ada", "en", 1.0)
    keys = {
        content_key("1", clause, manner),
        content_key("2", clause, manner),
        content_key("1", Clause((Sounds("hello"),), 10), manner),
        content_key("1", Clause((Words("hello"),), 20), manner),
        content_key("1", clause, Manner("ben", "en", 1.0)),
        content_key("1", clause, Manner("ada", "de", 1.0)),
        content_key("1", clause, Manner("ada", "en", 1.1)),
    }
    assert len(keys) == 7
    assert content_key("1", clause, manner) in keys
