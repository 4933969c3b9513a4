"""Who the caller is: chooses the next line by what the agent has just said. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
_TIMES = (
    "ten o'clock",
    "eleven o'clock",
    "three o'clock",
    "nine o'clock",
    "twelve o'clock",
    "four o'clock",
    "two o'clock",
    "one o'clock",
)
_NAMES = ("Mary Miller", "Peter Brown", "Tom Hill", "Emma Baker", "Anna Taylor", "Sarah Green")
_HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_CONFIRM = r"is (that|this|it) (right|correct)|correct\?|shall i|should i|(do|would) you (want|like) me"
_OFFERED = re.compile(
    rf"\b(?:half past )?(?P<word>{'|'.join(_HOURS)})"
    r"(?P<rest> (?:thirty|fifteen|forty[- ]five))?(?: o'clock)?\b"
    r"|\b(?P<clock>\d{1,2}):(?P<minute>\d\d)\b",
    re.IGNORECASE,
)


class Persona(Protocol):
    def reply(self, agent_text: str) -> str | None:
        """What to say after these words of the agent (empty: they are not known); None: nothing more."""
        ...


@dataclass
class BookingCaller:
    """Books one appointment: day, time and name when asked, another time when that one is taken."""

    day: str
    time: str
    name: str
    opening: str = "I would like to book an appointment please"
    _said: list[str] = field(default_factory=list[str])
    _confused: int = 0
    _wrong: str = ""
    _wanted_time: str = ""
    _objected: list[str] = field(default_factory=list[str])

    def reply(self, agent_text: str) -> str | None:
        line = self._choose(agent_text)
        if line is not None:
            self._said.append(line)
        return line

    def _choose(self, agent_text: str) -> str | None:
        text = agent_text.lower().replace("’", "'")
        if _has(text, r"goodbye|good bye|bye\b"):
            return None
        self._confused += 1
        if self._confused > 4:
            return "goodbye"
        line = self._by_question(text) if text else self._by_order()
        if line is None:
            return self._said[-1] if self._said else self.opening
        if line not in self._said[-1:]:
            self._confused = 0
        return line

    def _by_question(self, text: str) -> str | None:
        refused = _has(
            text, r"not free|not available|no longer|taken|booked already|already booked|fully booked|full\b"
        )
        rules = (
            (r"anything else|else (that )?(i|we) can", "no thank you goodbye"),
            (
                r"(which|what|your|the) (first |last |full )?name|who (is|am i)|spell",
                f"my name is {self.name.lower()}",
            ),
            (
                _CONFIRM,
                "yes please",
            ),
            (r"how (can|may) (i|we) help|what can (i|we) do", self.opening),
        )
        if _has(text, r"put you through|take a message|to a person"):
            return "no"
        if _has(text, r"should i change|shall i change"):
            again = {
                "day": f"on {self.day}",
                "time": f"at {self._wanted_time}",
                "name": f"my name is {self.name.lower()}",
            }
            return again.get(self._wrong, "no")
        if _has(text, _CONFIRM) and (line := self._check(text)):
            return line
        if not refused:
            for pattern, line in rules:
                if _has(text, pattern):
                    return line
        if refused or _has(
            text, r"(which|what) time|at what|when (would|do) you|what hour|would suit|which of"
        ):
            return self._when(text, refused=refused)
        if _has(text, r"(which|what|another) (day|date)"):
            return f"on {self.day}"
        if _has(text, r"\bname\b"):
            return f"my name is {self.name.lower()}"
        return None

    def _check(self, text: str) -> str | None:
        """Objects once to each thing that the agent got wrong."""
        times = offered_times(text)
        right = {
            "day": self.day in text,
            "time": not times or not self._wanted_time or self._wanted_time in times,
            "name": self.name.split()[-1].lower() in text,
        }
        for what, is_right in right.items():
            if not is_right and what not in self._objected:
                self._objected.append(what)
                self._wrong = what
                return "no"
        return None

    def _when(self, text: str, *, refused: bool) -> str:
        asks_for_day = _has(text, r"(which|what|another) (day|date)")
        if asks_for_day and not refused:
            return f"on {self.day}"
        wanted = self.time
        if f"at {wanted}" in self._said:
            offered = [spoken for spoken in offered_times(text) if f"at {spoken}" not in self._said]
            wanted = offered[0] if offered else wanted
        self._wanted_time = wanted
        return f"at {wanted}"

    def _by_order(self) -> str:
        order = (
            self.opening,
            f"on {self.day}",
            f"at {self.time}",
            f"my name is {self.name.lower()}",
            "yes please",
        )
        return next((line for line in order if line not in self._said), "goodbye")


def booking_caller(index: int, today: date) -> BookingCaller:
    """The n-th of any number of callers: each wants another slot of the next working days."""
    days = [today + timedelta(days=ahead) for ahead in range(2, 12)]
    working = [day for day in days if day.weekday() < 5][:5]
    day = working[index // len(_TIMES) % len(working)]
    return BookingCaller(_DAYS[day.weekday()], _TIMES[index % len(_TIMES)], _NAMES[index % len(_NAMES)])


def offered_times(text: str) -> list[str]:
    """The times that a sentence names, as one says them: `nine thirty`, `ten o'clock`."""
    times: list[str] = []
    for found in _OFFERED.finditer(text):
        if found["word"]:
            half = " thirty" if found[0].lower().startswith("half past") else ""
            minutes = (found["rest"] or half).replace("-", " ").lower()
            times.append(found["word"].lower() + (minutes or " o'clock"))
        elif 0 < int(found["clock"]) < 24:
            hour = _HOURS[(int(found["clock"]) - 1) % 12]
            minutes = {"00": " o'clock", "15": " fifteen", "30": " thirty", "45": " forty five"}.get(
                found["minute"]
            )
            if minutes:
                times.append(hour + minutes)
    return times


def _has(text: str, pattern: str) -> bool:
    return re.search(pattern, text) is not None
