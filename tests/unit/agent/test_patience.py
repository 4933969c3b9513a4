"""The caller never waits in silence for long: fillers come in time, and a lost answer is given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.patience import Patience


def test_a_filler_then_another_then_the_end() -> None:
    patience = Patience()
    patience.owe(100.0)
    assert patience.due(101.5) is None
    assert patience.due(101.61) == "filler"
    patience.audible(True, 101.7)
    assert patience.due(105.0) is None
    patience.audible(False, 105.0)
    assert patience.due(107.9) is None
    assert patience.due(108.0) == "filler"
    assert patience.due(112.0) == "give_up"
    assert patience.due(200.0) is None


def test_a_settled_answer_owes_nothing() -> None:
    patience = Patience()
    assert patience.due(50.0) is None
    patience.owe(50.0)
    patience.settle()
    assert patience.due(500.0) is None


def test_owing_twice_does_not_begin_anew() -> None:
    patience = Patience()
    patience.owe(0.0)
    patience.owe(1.5)
    assert patience.due(1.61) == "filler"


@given(st.lists(st.floats(0.05, 0.3), min_size=1, max_size=200), st.floats(0.0, 2.0))
def test_silence_is_never_longer_than_the_waits(ticks: list[float], filler_seconds: float) -> None:
    patience = Patience(give_up_after_seconds=1e9)
    patience.owe(0.0)
    now, quiet_since = 0.0, 0.0
    for tick in ticks:
        now += tick
        if patience.due(now) == "filler":
            patience.audible(True, now)
            patience.audible(False, now + filler_seconds)
            now += filler_seconds
            quiet_since = now
        assert now - quiet_since <= 3.0 + 0.3
