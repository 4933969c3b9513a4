"""Opening hours: weekly spans and holidays in the organization's own time zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.telephony.domain import OpeningInterval

_END_OF_DAY = time(23, 59)
"""A span that closes here or later lasts until midnight: a `time` cannot say 24:00."""
_FAR_DAYS = 370


@dataclass(frozen=True)
class Span:
    """A stretch of absolute time, in UTC, that ends before `ends`."""

    starts: datetime
    ends: datetime

    def overlaps(self, other: Span) -> bool:
        return self.starts < other.ends and other.starts < self.ends


@dataclass(frozen=True)
class OpeningTimes:
    """When an organization is open. Without any span it is never open for appointments (`spans_of` is empty).

    A day is reckoned in local time and its spans are absolute: on the day on which clocks change, 00:00 to
    06:00 lasts five or seven hours. An hour that does not exist counts as the hour after it.
    """

    zone: ZoneInfo
    intervals: tuple[OpeningInterval, ...] = ()
    holidays: frozenset[date] = field(default_factory=frozenset[date])

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone)

    def spans_of(self, day: date) -> tuple[Span, ...]:
        """The open stretches of a local day in order; overlapping ones are one."""
        if day in self.holidays:
            return ()
        spans = [
            Span(self._absolute(day, interval.opens), self._closing(day, interval.closes))
            for interval in self.intervals
            if interval.weekday == day.weekday()
        ]
        return tuple(_merged(span for span in spans if span.starts < span.ends))

    def is_open(self, moment: datetime) -> bool:
        """Open now; an organization without any hours is taken for always open."""
        if not self.intervals:
            return True
        spans = self.spans_of(self.local(moment).date())
        return any(span.starts <= moment < span.ends for span in spans)

    def next_open_day(self, day: date) -> date | None:
        """The first day from `day` on with open hours; None when there is none within a year."""
        for offset in range(_FAR_DAYS):
            candidate = day + timedelta(days=offset)
            if self.spans_of(candidate):
                return candidate
        return None

    def absolute(self, day: date, at: time) -> datetime:
        """The moment of a local wall-clock time, in UTC; the first of two in the repeated hour."""
        return self._absolute(day, at)

    def _absolute(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at.replace(tzinfo=None), self.zone).astimezone(UTC)

    def _closing(self, day: date, at: time) -> datetime:
        if at >= _END_OF_DAY:
            return self._absolute(day + timedelta(days=1), time(0))
        return self._absolute(day, at)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: each.starts):
        if merged and span.starts <= merged[-1].ends:
            last = merged.pop()
            span = Span(last.starts, max(last.ends, span.ends))
        merged.append(span)
    return merged
