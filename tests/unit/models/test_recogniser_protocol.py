"""The recogniser's requests and results, and the phrases that it listens for."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from appliance.agents.domain import AgentSnapshot
from appliance.errors import InvalidInput
from models.stt.phrases import Phrases
from models.stt.protocol import (
    MAX_PHRASE_CHARACTERS,
    MAX_PHRASES,
    Piece,
    control_of,
    result_json,
    words_of,
)


def test_pieces_become_words_with_times_that_never_go_back() -> None:
    pieces = [
        Piece("\u2581my", 160, 0.9),
        Piece("\u2581app", 400, 0.8),
        Piece("ointment", 640, 0.5),
        Piece("\u2581please", 640, 0.9),
    ]
    words = words_of(pieces)
    assert [word.word for word in words] == ["my", "appointment", "please"]
    assert words[1].confidence == 0.5
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)


def test_a_result_without_words_is_empty_and_not_sure() -> None:
    said = json.loads(result_json([], kind="final", language="en", audio_ms=40))
    expected = {"type": "final", "text": "", "words": [], "confidence": 0.0, "language": "en", "audio_ms": 40}
    assert said == expected


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '{"language": 1}', '{"phrases": "x"}', '{"phrases": [1]}', '{"sample_rate_hz": 8000}'],
)
def test_a_wrong_control_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        control_of(text)


def test_control_is_read() -> None:
    control = control_of('{"language": "en", "phrases": ["mary miller"], "flush": true}')
    assert (control.language, control.phrases, control.flush) == ("en", ("mary miller",), True)
    assert not control_of("").flush


def test_a_phrase_is_preferred_from_its_beginning_and_while_it_goes_on() -> None:
    phrases = Phrases([[7, 8, 9], [5]])
    assert set(phrases.preferred()) == {7, 5}
    phrases.heard(7)
    assert set(phrases.preferred()) == {7, 5, 8}
    phrases.heard(3)
    assert set(phrases.preferred()) == {7, 5}
    phrases.heard(7)
    phrases.heard(8)
    assert 9 in phrases.preferred()
    phrases.forget()
    assert set(phrases.preferred()) == {7, 5}


def test_an_agent_may_expect_what_the_recogniser_takes_and_no_more() -> None:
    """Else an agent could be published whose every call the recogniser refuses."""
    most = tuple(
        f"{index:03}" + "\N{MUSICAL SYMBOL G CLEF}" * (MAX_PHRASE_CHARACTERS - 3)
        for index in range(MAX_PHRASES)
    )
    agent = AgentSnapshot(name="a", prompt="b", greeting="c", phrases=most)
    assert control_of(json.dumps({"phrases": agent.phrases})).phrases == most
    for too_much in ((*most, "one more"), ("a" * (MAX_PHRASE_CHARACTERS + 1),)):
        with pytest.raises(ValidationError):
            AgentSnapshot(name="a", prompt="b", greeting="c", phrases=too_much)
