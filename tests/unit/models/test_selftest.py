"""The stored expectation survives as it was written, and a damaged one is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import IntegrityError, InvalidInput
from models.selftest.check import Report, Result
from models.selftest.expectation import (
    Answered,
    Expectation,
    Heard,
    Spoken,
    load_expectation,
    save_expectation,
    word_error_rate,
)

EXPECTATION = Expectation(
    recorded_at=datetime(2026, 11, 21, tzinfo=UTC),
    language="en",
    stt=Heard(text="good morning", max_word_error_rate=0.2),
    tts=Spoken(text="Hello.", seconds=1.0, level=0.1),
    llm=Answered(question="When?", text="At nine."),
)


def test_what_is_stored_is_read_again(tmp_path: Path):
    with pytest.raises(InvalidInput, match="--record"):
        load_expectation(tmp_path)
    save_expectation(tmp_path, EXPECTATION, b"\1\0" * 1600)
    assert load_expectation(tmp_path) == (EXPECTATION, b"\1\0" * 1600)


@pytest.mark.parametrize("spoiled", ["expectation.json", "sentence.wav"])
def test_a_damaged_expectation_is_told(tmp_path: Path, spoiled: str):
    save_expectation(tmp_path, EXPECTATION, b"\1\0" * 1600)
    (tmp_path / spoiled).write_bytes((tmp_path / spoiled).read_bytes()[:20])
    with pytest.raises(IntegrityError, match="damaged"):
        load_expectation(tmp_path)


@pytest.mark.parametrize(
    ("expected", "heard", "rate"),
    [
        ("a table for two", "A table, for two.", 0.0),
        ("a table for two", "a table two", 0.25),
        ("a table for two", "the table for two", 0.25),
        ("a table", "a nice table now", 1.0),
        ("a table", "", 1.0),
        ("", "", 0.0),
        ("", "words", 1.0),
    ],
)
def test_words_are_counted(expected: str, heard: str, rate: float):
    assert word_error_rate(expected, heard) == rate


def test_the_exit_code_says_what_was_found():
    good, wrong = Result("stt", True, True, "", 1.0), Result("tts", False, True, "", 1.0)
    away = Result("llm", False, False, "", 1.0)
    assert Report((good,)).exit_code == 0
    assert Report((good, wrong)).exit_code == 1
    assert Report((good, wrong, away)).exit_code == 3
