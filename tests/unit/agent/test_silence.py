"""The silence timer: nobody is asked too early, too late or twice, whatever happens on the line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.silence import SilenceTimer

_EVENTS = st.lists(
    st.tuples(
        st.floats(0.0, 5.0),
        st.sampled_from(["begin", "end", "word"]),
        st.sampled_from(["agent", "caller", "answering", "held"]),
    ),
    max_size=40,
)


def _timer() -> SilenceTimer:
    timer = SilenceTimer(prompt_after_seconds=8.0, end_after_seconds=5.0)
    timer.start(0.0)
    return timer


def test_a_silent_caller_is_asked_once_and_then_left() -> None:
    timer = _timer()
    assert timer.due(7.9) is None
    assert timer.due(8.0) == "prompt"
    assert timer.due(8.1) is None
    timer.begin("agent", 8.1)
    timer.end("agent", 9.0)
    assert timer.due(13.9) is None
    assert timer.due(14.0) == "end"
    assert timer.due(100.0) is None


def test_a_word_starts_everything_anew() -> None:
    timer = _timer()
    assert timer.due(8.0) == "prompt"
    timer.word(9.0)
    assert timer.due(16.9) is None
    assert timer.due(17.0) == "prompt"


def test_noise_without_a_word_only_stops_the_count() -> None:
    timer = _timer()
    timer.begin("caller", 6.0)
    assert timer.due(20.0) is None
    timer.end("caller", 20.0)
    assert timer.due(21.9) is None
    assert timer.due(22.0) == "prompt"


def test_nothing_is_due_while_held_or_before_the_start() -> None:
    timer = SilenceTimer(prompt_after_seconds=1.0, end_after_seconds=1.0)
    assert timer.due(50.0) is None
    timer.start(50.0)
    timer.begin("held", 50.5)
    assert timer.due(500.0) is None
    timer.end("held", 500.0)
    assert timer.due(500.6) == "prompt"


@given(_EVENTS)
def test_what_is_due_never_comes_before_that_much_quiet_and_ends_only_after_a_prompt(
    events: list[tuple[float, str, str]],
) -> None:
    timer = _timer()
    now, busy, quiet_since, told = 0.0, set[str](), 0.0, list[str]()
    for wait, kind, what in events:
        now += wait
        action = timer.due(now)
        if action is not None:
            assert not busy
            assert action == "prompt" or told[-1:] == ["prompt"]
            told.append(action)
        if kind == "begin":
            busy.add(what)
            timer.begin(what, now)  # type: ignore[arg-type]
        elif kind == "end":
            busy.discard(what)
            timer.end(what, now)  # type: ignore[arg-type]
        else:
            timer.word(now)
            quiet_since = now
            told.append("word")
            assert timer.due(quiet_since + 4.9) is None
    assert told.count("end") <= 1
