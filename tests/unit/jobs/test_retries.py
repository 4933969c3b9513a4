"""A thing that fails is tried again later and later, and never forgotten."""

from __future__ import annotations

from runtime.jobs.retries import Retries


def test_it_waits_longer_each_time_up_to_a_bound() -> None:
    now = 0.0
    retries = Retries(lambda: now, longest_seconds=30)
    waits = []
    for _ in range(8):
        assert retries.is_due("a")
        waits.append(retries.failed("a"))
        assert not retries.is_due("a")
        assert retries.is_due("b"), "another one is not concerned"
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    retries.succeeded("a")
    assert retries.failed("a") == 1


def test_what_does_not_exist_any_more_is_forgotten() -> None:
    retries = Retries(lambda: 0.0)
    retries.failed("a")
    retries.failed("b")
    retries.keep_only({"b"})
    assert retries.is_due("a")
    assert not retries.is_due("b")
