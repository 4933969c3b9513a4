"""Slots: within the hours, never overlapping, right on the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from appliance.scheduling.domain import CalendarRules, Diary, spread
from appliance.telephony.domain import OpeningInterval
from appliance.telephony.opening import OpeningTimes, Span

BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = date(2026, 11, 24)
RULES = CalendarRules(slot_minutes=30, lead_minutes=60, horizon_days=14)


def hours(opens: str, closes: str, weekdays: range = range(7)) -> tuple[OpeningInterval, ...]:
    return tuple(
        OpeningInterval(weekday=day, opens=time.fromisoformat(opens), closes=time.fromisoformat(closes))
        for day in weekdays
    )


def diary(
    now: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
    *,
    zone: ZoneInfo = BERLIN,
    intervals: tuple[OpeningInterval, ...] = hours("09:00", "17:00", range(5)),
    holidays: frozenset[date] = frozenset(),
    taken: tuple[Span, ...] = (),
    rules: CalendarRules = RULES,
) -> Diary:
    return Diary(rules, OpeningTimes(zone, intervals, holidays), taken, now)


def local(book: Diary, slots: tuple[Span, ...]) -> list[str]:
    return [book.opening.local(slot.starts).strftime("%H:%M") for slot in slots]


def test_a_day_has_the_slots_of_its_hours() -> None:
    book = diary()
    assert local(book, book.slots_of(TUESDAY)) == [
        f"{hour:02d}:{minute:02d}" for hour in range(9, 17) for minute in (0, 30)
    ]
    assert book.slots_of(date(2026, 11, 22)) == ()
    assert diary(holidays=frozenset({TUESDAY})).slots_of(TUESDAY) == ()


def test_lead_and_horizon_bound_what_is_free() -> None:
    book = diary(now=datetime(2026, 11, 23, 9, 10, tzinfo=UTC))  # 10:10 in Berlin
    assert local(book, book.free_on(book.today))[0] == "11:30"
    assert book.free_on(date(2026, 12, 7))
    assert book.obstacle(date(2026, 12, 8), [time(10)]) == "too_far"
    assert book.obstacle(book.today, [time(11)]) == "too_soon"
    assert book.obstacle(book.today, [time(10)]) == "past"
    assert book.obstacle(date(2026, 11, 22), [time(10)]) == "past"


def test_each_obstacle_has_its_name() -> None:
    slot = diary().slots_of(TUESDAY)[0]
    book = diary(taken=(slot,), holidays=frozenset({date(2026, 11, 25)}))
    assert book.obstacle(TUESDAY, [time(9)]) == "slot_taken"
    assert book.obstacle(TUESDAY, [time(9, 10)]) == "not_on_grid"
    assert book.obstacle(TUESDAY, [time(20)]) == "outside_hours"
    assert book.obstacle(TUESDAY, [time(17)]) == "outside_hours"
    assert book.obstacle(date(2026, 11, 25), [time(10)]) == "closed"
    assert book.obstacle(TUESDAY, [time(9, 30)]) is None


def test_three_means_the_afternoon_when_the_night_is_closed() -> None:
    book = diary()
    slot = book.slot_at(TUESDAY, [time(3), time(15)])
    assert slot is not None
    assert book.opening.local(slot.starts).hour == 15


def test_alternatives_are_the_nearest_of_the_day_then_the_next_days() -> None:
    day = diary().slots_of(TUESDAY)
    at_three = next(slot for slot in day if slot.starts.hour == 14)  # 15:00 in Berlin
    book = diary(taken=(at_three,))
    assert local(book, book.alternatives(TUESDAY, [time(15)])) == ["14:00", "14:30", "15:30"]
    full = diary(taken=(Span(day[0].starts, day[-1].ends),))
    offered = full.alternatives(TUESDAY, [time(15)])
    assert {full.opening.local(slot.starts).date() for slot in offered} == {date(2026, 11, 25)}


def test_the_short_and_the_long_day() -> None:
    night = hours("00:00", "06:00")
    rules = CalendarRules(slot_minutes=30, lead_minutes=0, horizon_days=400)
    book = diary(datetime(2026, 1, 1, tzinfo=UTC), intervals=night, rules=rules)
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert len(book.slots_of(spring)) == 10
    assert len(book.slots_of(autumn)) == 14
    assert "02:30" not in local(book, book.slots_of(spring))
    assert local(book, book.slots_of(autumn)).count("02:30") == 2
    # Both half past twos can be booked: the second when the first is taken.
    first = book.slot_at(autumn, [time(2, 30)])
    assert first is not None
    second = diary(book.now, intervals=night, rules=rules, taken=(first,)).slot_at(autumn, [time(2, 30)])
    assert second is not None
    assert second.starts - first.starts == timedelta(hours=1)
    # 9 to 17 is eight hours on every day, whatever the clock did in the night.
    office = diary(datetime(2026, 1, 1, tzinfo=UTC), intervals=hours("09:00", "17:00"), rules=rules)
    for day in (spring, autumn, TUESDAY):
        assert len(office.slots_of(day)) == 16
        assert local(office, office.slots_of(day))[0] == "09:00"


def test_open_until_midnight_fills_the_day() -> None:
    book = diary(intervals=hours("22:00", "23:59"))
    assert local(book, book.slots_of(TUESDAY)) == ["22:00", "22:30", "23:00", "23:30"]


TIMES = st.times(min_value=time(0), max_value=time(23, 59)).map(
    lambda each: each.replace(second=0, microsecond=0)
)
INTERVALS = st.lists(
    st.tuples(st.integers(0, 6), TIMES, TIMES)
    .filter(lambda each: each[1] < each[2])
    .map(lambda each: OpeningInterval(weekday=each[0], opens=each[1], closes=each[2])),
    max_size=10,
).map(tuple)
ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Santiago"]
).map(ZoneInfo)
MOMENTS = st.integers(0, 6 * 365 * 24 * 60).map(
    lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@st.composite
def diaries(draw: st.DrawFn) -> Diary:
    now = draw(MOMENTS)
    taken = tuple(
        Span(now + timedelta(minutes=starts), now + timedelta(minutes=starts + length))
        for starts, length in draw(
            st.lists(st.tuples(st.integers(-500, 20_000), st.integers(1, 600)), max_size=8)
        )
    )
    rules = CalendarRules(
        slot_minutes=draw(st.sampled_from([5, 10, 15, 20, 25, 30, 45, 60, 90])),
        lead_minutes=draw(st.integers(0, 3000)),
        horizon_days=draw(st.integers(1, 20)),
    )
    return diary(now, zone=draw(ZONES), intervals=draw(INTERVALS), taken=taken, rules=rules)


@given(book=diaries())
def test_free_slots_are_in_hours_in_order_apart_and_free(book: Diary) -> None:
    slots = list(book.free_from(book.today))
    for slot in slots:
        assert slot.ends - slot.starts == book.rules.slot
        assert slot.starts >= book.now + timedelta(minutes=book.rules.lead_minutes)
        day = book.opening.local(slot.starts).date()
        assert day <= book.last_day + timedelta(days=1)
        spans = [*book.opening.spans_of(day), *book.opening.spans_of(day - timedelta(days=1))]
        assert any(span.starts <= slot.starts and slot.ends <= span.ends for span in spans)
        assert not any(slot.overlaps(span) for span in book.taken)
    for earlier, later in pairwise(slots):
        assert earlier.ends <= later.starts


@given(book=diaries(), ahead=st.integers(-2, 25), wanted=TIMES)
def test_a_wanted_time_is_free_or_has_an_obstacle(book: Diary, ahead: int, wanted: time) -> None:
    day = book.today + timedelta(days=ahead)
    slot = book.slot_at(day, [wanted])
    assert (book.obstacle(day, [wanted]) is None) == (slot is not None and slot in book.free_on(day))
    offered = book.alternatives(day, [wanted])
    everything = set(book.free_from(book.today))
    assert len(offered) <= 3
    assert set(offered) <= everything
    assert list(offered) == sorted(offered, key=lambda each: each.starts)


@given(count=st.integers(2, 10), total=st.integers(0, 60))
def test_spread_keeps_the_ends(count: int, total: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    slots = [Span(start + timedelta(hours=n), start + timedelta(hours=n + 1)) for n in range(total)]
    chosen = spread(slots, count)
    assert len(chosen) == min(count, total)
    assert len(set(chosen)) == len(chosen)
    if total:
        assert chosen[0] == slots[0]
        assert chosen[-1] == slots[-1]
