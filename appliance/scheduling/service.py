"""Reading the diary and writing appointments into it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from appliance.database.engine import violated_constraint
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.scheduling import tables
from appliance.scheduling.domain import CalendarRules, Diary
from appliance.telephony.opening import Span
from appliance.telephony.service import opening_times
from appliance.webhooks.outbox import announce


async def calendar_of(uow: UnitOfWork) -> tables.Calendar:
    """The organization's calendar: the oldest, if it has several. NotFound when it has none."""
    found = await uow.session.scalar(
        select(tables.Calendar).order_by(tables.Calendar.created_at, tables.Calendar.id).limit(1)
    )
    if found is None:
        raise NotFound("The organization has no calendar.", code="no_calendar")
    return found


async def diary_of(uow: UnitOfWork, calendar: tables.Calendar, timezone: str, now: datetime) -> Diary:
    """The calendar with the bookings that end after `now`."""
    during = await uow.session.scalars(
        select(tables.Booking.during).where(
            tables.Booking.calendar_id == calendar.id,
            tables.Booking.cancelled_at.is_(None),
            tables.Booking.during.overlaps(Range(now, None)),
        )
    )
    taken = tuple(
        Span(each.lower, each.upper) for each in during if each.lower is not None and each.upper is not None
    )
    return Diary(
        rules=CalendarRules(calendar.slot_minutes, calendar.lead_minutes, calendar.horizon_days),
        opening=await opening_times(uow, timezone),
        taken=taken,
        now=now,
    )


async def hold_calendar(uow: UnitOfWork, calendar: tables.Calendar) -> None:
    """Makes those who book in this calendar wait for each other until the transaction ends.

    The exclusion constraint alone is enough against double bookings; but two inserts that check each other
    may end as a deadlock, which costs PostgreSQL's second of patience on the telephone.
    """
    await uow.lock(f"calendar {calendar.id}")


async def book(
    uow: UnitOfWork,
    calendar: tables.Calendar,
    slot: Span,
    *,
    name: str,
    phone: str | None,
    reason: str | None,
    call_id: UUID | None,
) -> UUID:
    """Writes the appointment. Conflict (`slot_taken`) when the database finds that it overlaps another."""
    booking_id = uuid7()
    try:
        async with uow.session.begin_nested():
            uow.session.add(
                tables.Booking(
                    id=booking_id,
                    organization_id=calendar.organization_id,
                    calendar_id=calendar.id,
                    during=Range(slot.starts, slot.ends, bounds="[)"),
                    name=name,
                    phone=phone,
                    reason=reason,
                    call_id=call_id,
                )
            )
    except IntegrityError as error:
        if violated_constraint(error) == tables.NO_OVERLAP:
            raise Conflict("The slot is taken.", code="slot_taken") from error
        raise
    told = {
        "booking_id": str(booking_id),
        "calendar_id": str(calendar.id),
        "starts_at": slot.starts.isoformat(),
        "ends_at": slot.ends.isoformat(),
        "call_id": str(call_id) if call_id else None,
    }
    await announce(uow, "booking.made", f"bookings/{booking_id}", told)
    return booking_id
