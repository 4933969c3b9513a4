"""Bookings, orders, and messages that wait for a call back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from litestar.params import Parameter
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right
from appliance.calls import notes
from appliance.calls.archive_domain import ShownNote
from appliance.database.paging import Listed
from appliance.scheduling import desk
from appliance.scheduling.desk_domain import ShownBooking, ShownOrder
from appliance.wire import Moment
from console.api.answers import (
    Cursor,
    IfMatch,
    IfNoneMatch,
    Limit,
    amends,
    deletes,
    expected_revision,
    reads,
    replaces,
    tagged,
    understood,
)
from console.web.work import Work


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BookingChange(Given):
    starts_at: Moment = Field(examples=["2030-01-31T12:00:00Z"])


class Period(Given):
    since: Moment | None
    until: Moment | None


class CallbackChange(Given):
    done: bool


@reads("/bookings", right=Right.BOOKINGS_READ, operation="listBookings", one=False)
async def list_bookings(
    actor: Actor,
    work: Work,
    limit: Limit,
    cursor: Cursor = None,
    since: Annotated[datetime | None, Parameter(query="since", required=False)] = None,
    until: Annotated[datetime | None, Parameter(query="until", required=False)] = None,
    cancelled: Annotated[bool | None, Parameter(query="cancelled", required=False)] = None,
) -> Listed[ShownBooking]:
    """Appointments in the order of their beginning."""
    period = understood(Period, since=since, until=until)
    async with work.tenant() as uow:
        return await desk.list_bookings(
            uow,
            actor,
            since=period.since,
            until=period.until,
            cancelled=cancelled,
            cursor=cursor,
            limit=limit,
        )


@reads("/bookings/{booking_id:uuid}", right=Right.BOOKINGS_READ, operation="getBooking")
async def get_booking(
    actor: Actor, work: Work, booking_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownBooking]:
    """One appointment."""
    async with work.tenant() as uow:
        return tagged(await desk.get_booking(uow, actor, booking_id), if_none_match=if_none_match)


@amends("/bookings/{booking_id:uuid}", right=Right.BOOKINGS_WRITE, operation="moveBooking")
async def move_booking(
    actor: Actor, work: Work, booking_id: UUID, data: BookingChange, if_match: IfMatch = None
) -> Response[ShownBooking]:
    """To another time; 409 when that is taken."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(
            await desk.move_booking(
                uow, actor, booking_id, data.starts_at, revision=revision, now=datetime.now(UTC)
            )
        )


@deletes(
    "/bookings/{booking_id:uuid}", right=Right.BOOKINGS_WRITE, operation="cancelBooking", status_code=200
)
async def cancel_booking(
    actor: Actor, work: Work, booking_id: UUID, if_match: IfMatch = None
) -> Response[ShownBooking]:
    """Frees its time; the booking is kept as cancelled."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(
            await desk.cancel_booking(uow, actor, booking_id, revision=revision, now=datetime.now(UTC))
        )


@reads("/orders", right=Right.BOOKINGS_READ, operation="listOrders", one=False)
async def list_orders(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[ShownOrder]:
    """The orders, the newest first."""
    async with work.tenant() as uow:
        return await desk.list_orders(uow, actor, cursor=cursor, limit=limit)


@reads("/orders/{order_id:uuid}", right=Right.BOOKINGS_READ, operation="getOrder")
async def get_order(actor: Actor, work: Work, order_id: UUID) -> ShownOrder:
    """One order."""
    async with work.tenant() as uow:
        return await desk.get_order(uow, actor, order_id)


@reads("/callbacks", right=Right.BOOKINGS_READ, operation="listCallbacks", one=False)
async def list_callbacks(
    actor: Actor,
    work: Work,
    limit: Limit,
    cursor: Cursor = None,
    done: Annotated[bool, Parameter(query="done", required=False)] = False,
) -> Listed[ShownNote]:
    """Messages that agents took for a person, the newest first."""
    async with work.tenant() as uow:
        return await notes.callbacks(uow, actor, done=done, cursor=cursor, limit=limit)


@replaces("/callbacks/{note_id:uuid}", right=Right.BOOKINGS_WRITE, operation="setCallbackDone")
async def set_done(actor: Actor, work: Work, note_id: UUID, data: CallbackChange) -> ShownNote:
    """Dealt with, or open again. Needs no If-Match: the last word counts."""
    async with work.tenant() as uow:
        return await notes.set_callback_done(uow, actor, note_id, done=data.done, now=datetime.now(UTC))


HANDLERS: list[Any] = [
    list_bookings,
    get_booking,
    move_booking,
    cancel_booking,
    list_orders,
    get_order,
    list_callbacks,
    set_done,
]
