"""check_availability and create_booking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from itertools import islice
from typing import Any

from appliance.errors import Conflict, NotFound
from appliance.scheduling.dates import DateNotUnderstood, parse_date, parse_first_day
from appliance.scheduling.domain import Diary, Obstacle, spread
from appliance.scheduling.service import book, calendar_of, diary_of, hold_calendar
from appliance.scheduling.speech import sentence, spoken_day, spoken_list, spoken_time, weekday
from appliance.scheduling.tables import Calendar
from appliance.scheduling.times import TimeNotUnderstood, parse_times
from appliance.telephony.opening import Span
from appliance.tools.arguments import CheckAvailability, CreateBooking
from appliance.tools.outcome import CannotDo, Done, ToolSetting

_OFFERED = 6
_NEXT_DAYS_OFFERED = 3


async def check_availability(setting: ToolSetting, wanted: CheckAvailability) -> Done:
    """Free times of a day, or of the coming days when no day is named."""
    _, diary = await _open(setting)
    readings = _times(setting, wanted.time) if wanted.time else ()
    if wanted.date is None:
        if readings:
            free = [
                slot
                for slot in diary.free_from(diary.today)
                if diary.opening.local(slot.starts).time() in readings
            ]
            offered = tuple(free[:_NEXT_DAYS_OFFERED])
        else:
            offered = tuple(islice(diary.free_from(diary.today), _NEXT_DAYS_OFFERED))
        return _next_free(setting, diary, offered)
    day = _day(setting, diary, wanted.date, first_of_week=True)
    _refuse_far(setting, diary, day)
    free_that_day = diary.free_on(day)
    if not free_that_day:
        raise _nothing_free(setting, diary, day, readings)
    asked = diary.obstacle(day, readings) is None if readings else None
    offered = diary.alternatives(day, readings, 3) if asked is False else spread(free_that_day, _OFFERED)
    if asked is False:
        offered = tuple(slot for slot in offered if slot in free_that_day) or spread(free_that_day, _OFFERED)
    slot = diary.slot_at(day, readings) if asked else None
    return Done(
        result={
            "date": day.isoformat(),
            "weekday": weekday(day, "en"),
            "free": [diary.opening.local(each.starts).strftime("%H:%M") for each in offered],
            "slots": _slots(diary, offered),
            "requested_free": asked,
            "requested_time": diary.opening.local(slot.starts).strftime("%H:%M") if slot else None,
        },
        say=_say_day(setting, diary, day, offered, slot, asked),
    )


async def create_booking(setting: ToolSetting, wanted: CreateBooking) -> Done:
    """Books the slot that was asked for, or says what stands against it and what is near."""
    calendar, diary = await _open(setting)
    day = _day(setting, diary, wanted.date)
    readings = _times(setting, wanted.time)
    await hold_calendar(setting.uow, calendar)
    # Read again: whoever held the calendar before us may have taken the slot.
    diary = await diary_of(setting.uow, calendar, setting.timezone, setting.now)
    obstacle = diary.obstacle(day, readings)
    slot = diary.slot_at(day, readings)
    if obstacle is not None or slot is None:
        raise _in_the_way(setting, diary, day, readings, obstacle or "not_on_grid")
    try:
        booking_id = await book(
            setting.uow,
            calendar,
            slot,
            name=wanted.name,
            phone=wanted.phone or _callers_number(setting),
            reason=wanted.reason,
            call_id=setting.call.id,
        )
    except Conflict as error:
        diary = await diary_of(setting.uow, calendar, setting.timezone, setting.now)
        raise _in_the_way(setting, diary, day, readings, "slot_taken") from error
    starts, ends = diary.opening.local(slot.starts), diary.opening.local(slot.ends)
    when = f"{spoken_day(starts.date(), setting.language)}"
    at = spoken_time(starts, setting.language)
    return Done(
        result={
            "booking_id": str(booking_id),
            "date": starts.date().isoformat(),
            "weekday": weekday(starts.date(), "en"),
            "time": starts.strftime("%H:%M"),
            "ends": ends.strftime("%H:%M"),
            "starts_at": starts.isoformat(),
            "name": wanted.name,
        },
        say=setting.pick(
            sentence(f"You are booked for {when} at {at}"),
            sentence(f"Ihr Termin ist eingetragen: {when} um {at}"),
        ),
    )


async def _open(setting: ToolSetting) -> tuple[Calendar, Diary]:
    try:
        calendar = await calendar_of(setting.uow)
    except NotFound as error:
        raise CannotDo(
            "no_calendar",
            setting.pick(
                "I am sorry, I have no diary to look into. I can take a message instead.",
                "Es tut mir leid, ich habe keinen Kalender. Ich kann gern eine Nachricht aufnehmen.",
            ),
        ) from error
    return calendar, await diary_of(setting.uow, calendar, setting.timezone, setting.now)


def _day(setting: ToolSetting, diary: Diary, phrase: str, *, first_of_week: bool = False) -> date:
    try:
        return (parse_first_day if first_of_week else parse_date)(phrase, diary.today)
    except DateNotUnderstood as error:
        if error.candidate is not None:
            said = spoken_day(error.candidate, setting.language)
            say = setting.pick(
                f"That would be {said}. Which day do you mean?",
                f"Das wäre {said}. Welchen Tag meinen Sie?",
            )
        else:
            say = setting.pick(
                "I am sorry, I did not understand the day. Which day would you like?",
                "Entschuldigung, ich habe den Tag nicht verstanden. Welcher Tag wäre Ihnen recht?",
            )
        raise CannotDo("not_understood", say, {"field": "date"}) from error


def _times(setting: ToolSetting, phrase: str) -> tuple[time, ...]:
    try:
        return parse_times(phrase)
    except TimeNotUnderstood as error:
        say = setting.pick(
            "I am sorry, I did not understand the time. What time would you like?",
            "Entschuldigung, ich habe die Uhrzeit nicht verstanden. Um wie viel Uhr?",
        )
        raise CannotDo("not_understood", say, {"field": "time"}) from error


def _callers_number(setting: ToolSetting) -> str | None:
    call = setting.call
    return call.caller if call.direction == "inbound" else call.called


def _slots(diary: Diary, slots: Sequence[Span]) -> list[dict[str, Any]]:
    local = [diary.opening.local(slot.starts) for slot in slots]
    return [
        {
            "date": each.date().isoformat(),
            "weekday": weekday(each.date(), "en"),
            "time": each.strftime("%H:%M"),
        }
        for each in local
    ]


def _say_slots(setting: ToolSetting, diary: Diary, slots: Sequence[Span]) -> str:
    """`Tuesday, 24 November at 3 p.m. or 4 p.m., or Wednesday ...`: each day named once."""
    by_day: dict[date, list[str]] = {}
    for slot in slots:
        local = diary.opening.local(slot.starts)
        by_day.setdefault(local.date(), []).append(spoken_time(local, setting.language))
    at = setting.pick("at", "um")
    return spoken_list(
        [
            f"{spoken_day(day, setting.language)} {at} "
            f"{spoken_list(times, setting.language, alternatives=True)}"
            for day, times in by_day.items()
        ],
        setting.language,
        alternatives=True,
    )


def _say_day(
    setting: ToolSetting,
    diary: Diary,
    day: date,
    offered: Sequence[Span],
    slot: Span | None,
    asked: bool | None,
) -> str:
    spoken = spoken_day(day, setting.language)
    if slot is not None:
        at = spoken_time(diary.opening.local(slot.starts), setting.language)
        return setting.pick(f"{spoken} at {at} is free.", f"{spoken} um {at} ist frei.")
    times = spoken_list(
        [spoken_time(diary.opening.local(each.starts), setting.language) for each in offered],
        setting.language,
        alternatives=asked is False,
    )
    if asked is False:
        return setting.pick(
            sentence(f"That time is not free. On {spoken} I could offer {times}"),
            sentence(f"Diese Zeit ist nicht frei. Am {spoken} hätte ich {times}"),
        )
    return setting.pick(sentence(f"On {spoken} I have {times}"), sentence(f"Am {spoken} habe ich {times}"))


def _next_free(setting: ToolSetting, diary: Diary, offered: Sequence[Span]) -> Done:
    if not offered:
        raise _nothing_at_all(setting)
    said = _say_slots(setting, diary, offered)
    return Done(
        result={
            "date": None,
            "free": [],
            "slots": _slots(diary, offered),
            "requested_free": None,
        },
        say=setting.pick(
            sentence(f"The next free times are {said}"), sentence(f"Die nächsten freien Zeiten: {said}")
        ),
    )


def _nothing_at_all(setting: ToolSetting) -> CannotDo:
    return CannotDo(
        "nothing_free",
        setting.pick(
            "I am sorry, there is no free appointment at the moment.",
            "Es tut mir leid, zurzeit ist kein Termin frei.",
        ),
        {"alternatives": []},
    )


def _refuse_far(setting: ToolSetting, diary: Diary, day: date) -> None:
    if day < diary.today:
        raise _in_the_way(setting, diary, day, (), "past")
    if day > diary.last_day:
        raise _in_the_way(setting, diary, day, (), "too_far")


def _nothing_free(setting: ToolSetting, diary: Diary, day: date, readings: Sequence[time]) -> CannotDo:
    closed = not diary.slots_of(day)
    return _in_the_way(setting, diary, day, readings, "closed" if closed else "slot_taken", whole_day=True)


def _in_the_way(
    setting: ToolSetting,
    diary: Diary,
    day: date,
    readings: Sequence[time],
    obstacle: Obstacle,
    *,
    whole_day: bool = False,
) -> CannotDo:
    spoken = spoken_day(day, setting.language)
    if obstacle == "slot_taken" and whole_day:
        reason = setting.pick(f"On {spoken} nothing is free.", f"Am {spoken} ist nichts frei.")
    else:
        reason = {
            "past": setting.pick("That is in the past.", "Das liegt in der Vergangenheit."),
            "too_soon": setting.pick("That is too soon to book.", "Das ist zu kurzfristig."),
            "too_far": setting.pick(
                f"I can only book up to {spoken_day(diary.last_day, setting.language)}.",
                f"Ich kann nur bis {spoken_day(diary.last_day, setting.language)} buchen.",
            ),
            "closed": setting.pick(f"We are closed on {spoken}.", f"Am {spoken} ist geschlossen."),
            "outside_hours": setting.pick(
                "That is outside of our opening hours.", "Das ist außerhalb der Öffnungszeiten."
            ),
            "not_on_grid": setting.pick(
                "No appointment begins at that time.", "Um diese Zeit beginnt kein Termin."
            ),
            "slot_taken": setting.pick(
                "I am sorry, that time is already taken.", "Diese Zeit ist leider schon vergeben."
            ),
        }[obstacle]
    near = diary.alternatives(min(day, diary.last_day), readings)
    offer = ""
    if near:
        said = _say_slots(setting, diary, near)
        offer = " " + setting.pick(sentence(f"I could offer {said}"), f"Ich könnte {said} anbieten.")
    return CannotDo(obstacle, reason + offer, {"alternatives": _slots(diary, near)})
