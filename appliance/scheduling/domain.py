"""Slots: which appointments an organization's hours, a calendar's rules and its bookings leave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from appliance.telephony.opening import OpeningTimes, Span

Obstacle = Literal["past", "too_soon", "too_far", "closed", "outside_hours", "not_on_grid", "slot_taken"]
"""Why a wanted time cannot be booked."""


@dataclass(frozen=True)
class CalendarRules:
    slot_minutes: int
    lead_minutes: int
    horizon_days: int

    @property
    def slot(self) -> timedelta:
        return timedelta(minutes=self.slot_minutes)


@dataclass(frozen=True)
class Diary:
    """A calendar at one moment: its rules, the opening hours and the bookings that are not cancelled."""

    rules: CalendarRules
    opening: OpeningTimes
    taken: tuple[Span, ...]
    now: datetime

    @property
    def today(self) -> date:
        return self.opening.local(self.now).date()

    @property
    def last_day(self) -> date:
        return self.today + timedelta(days=self.rules.horizon_days)

    def slots_of(self, day: date) -> tuple[Span, ...]:
        """Every slot of a local day, free or not, one after the other from each opening to its closing."""
        found: list[Span] = []
        for span in self.opening.spans_of(day):
            starts = span.starts
            while starts + self.rules.slot <= span.ends:
                found.append(Span(starts, starts + self.rules.slot))
                starts += self.rules.slot
        return tuple(found)

    def free_on(self, day: date) -> tuple[Span, ...]:
        """The slots of a local day that can be booked now, in order."""
        if not self.today <= day <= self.last_day:
            return ()
        earliest = self.now + timedelta(minutes=self.rules.lead_minutes)
        taken = [span for span in self.taken if _touches_day(span, self.slots_of(day))]
        return tuple(
            slot
            for slot in self.slots_of(day)
            if slot.starts >= earliest and not any(slot.overlaps(span) for span in taken)
        )

    def free_from(self, day: date) -> Iterator[Span]:
        """Free slots from a day on, up to the horizon."""
        current = max(day, self.today)
        while current <= self.last_day:
            yield from self.free_on(current)
            current += timedelta(days=1)

    def slot_at(self, day: date, readings: Sequence[time]) -> Span | None:
        """The slot that a wanted time means: the first reading that is free, else the first that is a slot.

        "Three" may be 03:00 or 15:00; the opening hours tell which.
        """
        slots = {slot.starts: slot for slot in self.slots_of(day)}
        meant = [slots[moment] for moment in self._moments(day, readings) if moment in slots]
        free = set(self.free_on(day))
        return next((slot for slot in meant if slot in free), meant[0] if meant else None)

    def obstacle(self, day: date, readings: Sequence[time]) -> Obstacle | None:
        """Why the wanted time cannot be booked; None when it can."""
        slot = self.slot_at(day, readings)
        if slot is not None and slot in self.free_on(day):
            return None
        if day < self.today:
            return "past"
        if day > self.last_day:
            return "too_far"
        if not self.slots_of(day):
            return "closed"
        if slot is None:
            spans = self.opening.spans_of(day)
            within = any(
                span.starts <= moment < span.ends for moment in self._moments(day, readings) for span in spans
            )
            return "not_on_grid" if within else "outside_hours"
        if slot.starts < self.now:
            return "past"
        if slot.starts < self.now + timedelta(minutes=self.rules.lead_minutes):
            return "too_soon"
        return "slot_taken"

    def alternatives(self, day: date, readings: Sequence[time], count: int = 3) -> tuple[Span, ...]:
        """The free slots nearest to a wanted time: of that day first, then of the days after, in order."""
        moments = self._moments(day, readings)
        same_day = sorted(
            self.free_on(day),
            key=lambda slot: min((abs(slot.starts - moment) for moment in moments), default=timedelta()),
        )[:count]
        chosen = sorted(same_day, key=lambda slot: slot.starts)
        for slot in self.free_from(day + timedelta(days=1) if day >= self.today else self.today):
            if len(chosen) >= count:
                break
            chosen.append(slot)
        return tuple(chosen)

    def _moments(self, day: date, readings: Sequence[time]) -> list[datetime]:
        both_folds = [
            moment
            for reading in readings
            for moment in (
                self.opening.absolute(day, reading.replace(fold=0)),
                self.opening.absolute(day, reading.replace(fold=1)),
            )
        ]
        return list(dict.fromkeys(both_folds))


def spread(slots: Sequence[Span], count: int) -> tuple[Span, ...]:
    """At most `count` of the slots, spread over all of them, first and last among them."""
    if len(slots) <= count:
        return tuple(slots)
    step = (len(slots) - 1) / (count - 1)
    return tuple(slots[round(index * step)] for index in range(count))


def _touches_day(span: Span, slots: Iterable[Span]) -> bool:
    ordered = tuple(slots)
    return bool(ordered) and span.overlaps(Span(ordered[0].starts, ordered[-1].ends))
