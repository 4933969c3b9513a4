"""What the people at the desk do with the diary: look, cancel, move. Orders are only looked at."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.database.engine import violated_constraint
from appliance.database.locking import row_to_change
from appliance.database.paging import (
    DEFAULT_LIMIT,
    Listed,
    checked_limit,
    decode_cursor,
    newest_first,
    one_page,
)
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.scheduling.desk_domain import ShownBooking, ShownOrder
from appliance.scheduling.service import hold_calendar
from appliance.scheduling.tables import NO_OVERLAP, Booking, Calendar, Order

_MISSING = "The booking does not exist."


async def list_bookings(
    uow: UnitOfWork,
    actor: Actor,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cancelled: bool | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownBooking]:
    """Appointments in the order of their beginning; those that overlap the time from `since` to `until`."""
    actor.must(Right.BOOKINGS_READ)
    checked_limit(limit)
    starts = func.lower(Booking.during)
    statement = select(Booking)
    if since is not None or until is not None:
        if since is not None and until is not None and since >= until:
            raise InvalidInput("The time must end after it begins.", field="until")
        statement = statement.where(Booking.during.overlaps(Range(since, until)))
    if cancelled is not None:
        statement = statement.where(
            Booking.cancelled_at.is_not(None) if cancelled else Booking.cancelled_at.is_(None)
        )
    if cursor:
        statement = statement.where(tuple_(starts, Booking.id) > tuple_(*decode_cursor(cursor)))
    rows = await uow.session.scalars(statement.order_by(starts, Booking.id).limit(limit + 1))
    return one_page(rows.all(), limit, lambda row: (_starts(row), row.id), _shown)


async def get_booking(uow: UnitOfWork, actor: Actor, booking_id: UUID) -> ShownBooking:
    actor.must(Right.BOOKINGS_READ)
    row = await uow.session.get(Booking, booking_id, populate_existing=True)
    if row is None:
        raise NotFound(_MISSING)
    return _shown(row)


async def cancel_booking(
    uow: UnitOfWork, actor: Actor, booking_id: UUID, *, revision: str | None = None, now: datetime
) -> ShownBooking:
    """Frees its time. Cancelled twice: the first stays."""
    actor.must(Right.BOOKINGS_WRITE)
    row = await row_to_change(uow, Booking, booking_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    if row.cancelled_at is None:
        row.cancelled_at = now
        await uow.session.flush()
        await record(
            uow, actor, "bookings.cancelled", f"booking:{booking_id}", after={"starts_at": before.starts_at}
        )
    return _shown(row)


async def move_booking(
    uow: UnitOfWork,
    actor: Actor,
    booking_id: UUID,
    starts_at: datetime,
    *,
    revision: str | None = None,
    now: datetime,
) -> ShownBooking:
    """To another beginning, as long as before; also outside of the opening hours, since a person decides it.

    Conflict when the time is taken (`slot_taken`) or the booking was cancelled; InvalidInput for the past.
    """
    actor.must(Right.BOOKINGS_WRITE)
    row = await row_to_change(uow, Booking, booking_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    if row.cancelled_at is not None:
        raise Conflict("The booking was cancelled.", code="cancelled")
    if starts_at <= now:
        raise InvalidInput("The time is over.", field="starts_at", code="past")
    calendar = await uow.session.get_one(Calendar, row.calendar_id)
    await hold_calendar(uow, calendar)
    try:
        async with uow.session.begin_nested():
            row.during = Range(starts_at, starts_at + (before.ends_at - before.starts_at), bounds="[)")
            await uow.session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == NO_OVERLAP:
            raise Conflict("The time is taken.", code="slot_taken") from error
        raise
    await record(
        uow,
        actor,
        "bookings.moved",
        f"booking:{booking_id}",
        before={"starts_at": before.starts_at},
        after={"starts_at": starts_at},
    )
    await uow.session.refresh(row)
    return _shown(row)


async def list_orders(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownOrder]:
    """The orders, the newest first."""
    actor.must(Right.BOOKINGS_READ)
    rows = await uow.session.scalars(newest_first(select(Order), Order.created_at, Order.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown_order)


async def get_order(uow: UnitOfWork, actor: Actor, order_id: UUID) -> ShownOrder:
    actor.must(Right.BOOKINGS_READ)
    row = await uow.session.get(Order, order_id)
    if row is None:
        raise NotFound("The order does not exist.")
    return _shown_order(row)


def _starts(row: Booking) -> datetime:
    assert row.during.lower is not None
    return row.during.lower


def _shown(row: Booking) -> ShownBooking:
    assert row.during.upper is not None
    return ShownBooking(
        id=row.id,
        calendar_id=row.calendar_id,
        starts_at=_starts(row),
        ends_at=row.during.upper,
        name=row.name,
        phone=row.phone,
        reason=row.reason,
        call_id=row.call_id,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
    )


def _shown_order(row: Order) -> ShownOrder:
    return ShownOrder(
        id=row.id,
        items=[dict(item) for item in row.items],
        name=row.name,
        phone=row.phone,
        call_id=row.call_id,
        created_at=row.created_at,
    )
