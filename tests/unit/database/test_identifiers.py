"""UUIDv7: the time in front, so that later ones sort behind; the rest random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.database.identifiers import uuid7

milliseconds = st.integers(min_value=0, max_value=2**48 - 1)


@given(milliseconds)
def test_it_is_a_version_7_uuid_that_carries_its_time(now: int) -> None:
    identifier = uuid7(unix_ms=now)
    assert identifier.version == 7
    assert identifier.variant == "specified in RFC 4122"
    assert identifier.int >> 80 == now


@given(milliseconds, milliseconds)
def test_it_sorts_by_time(one: int, other: int) -> None:
    if one != other:
        assert (uuid7(unix_ms=one) < uuid7(unix_ms=other)) == (one < other)


def test_no_two_are_alike() -> None:
    assert len({uuid7(unix_ms=1) for _ in range(10_000)}) == 10_000
