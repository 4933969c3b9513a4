"""The watchdog of the call's length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.watchdog import CallWatchdog


def test_two_warnings_and_the_end_each_once() -> None:
    watchdog = CallWatchdog(900.0)
    assert watchdog.due(779.9) is None
    assert watchdog.due(780.0) == "warn"
    assert watchdog.due(781.0) is None
    assert watchdog.due(870.0) == "warn"
    assert watchdog.due(899.9) is None
    assert watchdog.due(900.0) == "over"
    assert watchdog.due(901.0) is None


def test_a_short_call_is_not_warned_as_soon_as_it_begins() -> None:
    watchdog = CallWatchdog(60.0)
    assert watchdog.due(0.0) is None
    assert watchdog.due(30.0) == "warn"
    assert watchdog.due(60.0) == "over"
    assert CallWatchdog(30.0).due(10.0) is None


@given(st.floats(1.0, 20_000.0), st.lists(st.floats(0.0, 30_000.0), max_size=60))
def test_the_end_comes_at_the_limit_and_is_the_last(limit: float, times: list[float]) -> None:
    watchdog = CallWatchdog(limit)
    told = [(at, action) for at in sorted(times) if (action := watchdog.due(at)) is not None]
    assert all(at >= limit for at, action in told if action == "over")
    assert all(at < limit for at, action in told if action == "warn")
    assert [action for _, action in told][-1:] != ["warn"] or max(times) < limit
    assert sum(action == "over" for _, action in told) == (1 if times and max(times) >= limit else 0)
    assert sum(action == "warn" for _, action in told) <= 2
