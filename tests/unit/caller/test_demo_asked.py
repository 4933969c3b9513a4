"""The demo tells when what was booked is not what its caller has said."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.caller.persona import _NAMES, _TIMES  # pyright: ignore[reportPrivateUsage]
from provisioning.demo.asked import Asked, asked_of, difference

SAID = (
    "I would like to book an appointment please",
    "on wednesday",
    "at ten o'clock",
    "at three thirty",
    "my name is mary miller",
    "yes please",
    "no thank you goodbye",
)


def booking(**changed: str) -> dict[str, Any]:
    return {"starts_at": "2026-11-25T15:30:00+01:00", "name": "Mary Miller"} | changed


def test_the_last_of_each_thing_that_was_said_counts() -> None:
    assert asked_of(SAID) == Asked("wednesday", "3:30", "mary miller")
    assert asked_of(()) == Asked()


@pytest.mark.parametrize("time", _TIMES)
@pytest.mark.parametrize("name", _NAMES)
def test_whatever_the_demos_caller_says_is_understood(time: str, name: str) -> None:
    asked = asked_of(("on friday", f"at {time}", f"my name is {name.lower()}"))
    assert asked.day == "friday"
    assert asked.time is not None
    assert asked.time.endswith(":00")
    assert asked.name == name.lower()


def test_the_very_booking_is_no_difference() -> None:
    assert difference(asked_of(SAID), booking()) == ""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "Sarah Green"}, "'mary miller', and 'sarah green' was booked"),
        ({"starts_at": "2026-11-25T10:00:00+01:00"}, "'3:30', and '10:00' was booked"),
        ({"starts_at": "2026-11-26T15:30:00+01:00"}, "'wednesday', and 'thursday' was booked"),
    ],
)
def test_another_booking_is_told_as_a_sentence(changed: dict[str, str], told: str) -> None:
    assert told in difference(asked_of(SAID), booking(**changed))


def test_who_gave_a_name_and_got_nothing_is_told() -> None:
    assert difference(asked_of(SAID), None)
    assert difference(Asked(), None) == ""
