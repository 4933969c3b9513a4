"""Opening hours in local time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.telephony.domain import OpeningInterval
from appliance.telephony.opening import OpeningTimes

BERLIN = ZoneInfo("Europe/Berlin")


def opening(*spans: tuple[int, str, str], holidays: frozenset[date] = frozenset()) -> OpeningTimes:
    return OpeningTimes(
        BERLIN,
        tuple(
            OpeningInterval(weekday=day, opens=time.fromisoformat(a), closes=time.fromisoformat(b))
            for day, a, b in spans
        ),
        holidays,
    )


def test_open_follows_local_time_in_summer_and_winter() -> None:
    times = opening(*((day, "09:00", "17:00") for day in range(7)))
    assert times.is_open(datetime(2026, 7, 1, 7, 0, tzinfo=UTC))
    assert not times.is_open(datetime(2026, 7, 1, 15, 0, tzinfo=UTC))
    assert not times.is_open(datetime(2026, 12, 1, 7, 59, tzinfo=UTC))
    assert times.is_open(datetime(2026, 12, 1, 15, 59, tzinfo=UTC))


def test_a_holiday_is_closed_and_skipped() -> None:
    christmas = date(2026, 12, 25)
    times = opening((4, "09:00", "17:00"), holidays=frozenset({christmas}))
    assert not times.is_open(datetime(2026, 12, 25, 11, 0, tzinfo=UTC))
    assert times.next_open_day(christmas) == date(2027, 1, 1)


def test_overlapping_spans_are_one() -> None:
    times = opening((1, "09:00", "12:00"), (1, "11:00", "14:00"), (1, "15:00", "16:00"))
    lengths = [span.ends - span.starts for span in times.spans_of(date(2026, 11, 24))]
    assert lengths == [timedelta(hours=5), timedelta(hours=1)]


def test_without_hours_the_telephone_is_always_open() -> None:
    assert opening().is_open(datetime(2026, 1, 1, tzinfo=UTC))
    assert opening().next_open_day(date(2026, 1, 1)) is None


def test_hours_inside_the_hour_that_does_not_exist_are_no_hours() -> None:
    sunday = date(2026, 3, 29)
    assert opening((6, "02:10", "02:50")).spans_of(sunday)[0].starts == datetime(
        2026, 3, 29, 1, 10, tzinfo=UTC
    )
    assert opening((6, "02:30", "03:00")).spans_of(sunday) == ()
