"""What a caller of the demo asked for, by his own words, and whether the booking is that. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

_HOURS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_MINUTES = {"": 0, "o'clock": 0, "fifteen": 15, "thirty": 30, "forty five": 45}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = re.compile(rf"\bon ({'|'.join(_DAYS)})\b")
_TIME = re.compile(rf"\bat ({'|'.join(_HOURS)})(?: ({'|'.join(word for word in _MINUTES if word)}))?\b")
_NAME = re.compile(r"\bmy name is (.+?)\s*$")


@dataclass(frozen=True)
class Asked:
    """The last day, time and name that the caller said; None where he said none."""

    day: str | None = None
    time: str | None = None
    """As on a clock of twelve hours: `3:30`."""
    name: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


def asked_of(said: Sequence[str]) -> Asked:
    """Reads the caller's sentences, the first one first."""
    day = time = name = None
    for sentence in (line.lower() for line in said):
        if found := _DAY.search(sentence):
            day = found[1]
        if found := _TIME.search(sentence):
            time = _clock(_HOURS.index(found[1]) + 1, _MINUTES[found[2] or ""])
        if found := _NAME.search(sentence):
            name = found[1]
    return Asked(day, time, name)


def difference(asked: Asked, booking: Mapping[str, Any] | None) -> str:
    """What of the booking (`provisioning.demo.report.booking_of`) is not what was asked for, as a sentence;
    empty when all of it is. A caller who gave his name and got no booking is such a difference too."""
    if booking is None:
        return "The caller asked for an appointment and has none." if asked.name else ""
    starts = datetime.fromisoformat(booking["starts_at"])
    booked = {
        "day": _DAYS[starts.weekday()],
        "time": _clock(starts.hour, starts.minute),
        "name": str(booking["name"]).lower(),
    }
    for what, wanted in asked.as_json().items():
        if wanted is not None and wanted != booked[what]:
            return f"The caller asked for the {what} {wanted!r}, and {booked[what]!r} was booked."
    return ""


def _clock(hour: int, minute: int) -> str:
    return f"{(hour - 1) % 12 + 1}:{minute:02d}"
