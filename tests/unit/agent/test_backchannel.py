"""A listener's "mhm" is not an interruption; an answer is."""

from __future__ import annotations

import pytest

from runtime.agent.backchannel import is_backchannel


@pytest.mark.parametrize("text", ["mhm", "Uh-huh.", "hm hm", "Mhm, okay", "ah"])
def test_sounds_of_listening(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["", "yes", "no", "stop", "okay stop", "mhm mhm mhm mhm", "12", "Tuesday"])
def test_words_that_mean_something(text: str) -> None:
    assert not is_backchannel(text)
