"""The desk: appointments of the days to come, orders, and messages that want a call back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from appliance.access.domain import Actor, Right
from appliance.calls import notes
from appliance.errors import Conflict, InvalidInput
from appliance.scheduling import desk
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.work import Work

NAVIGATION = [NavigationEntry("Bookings", "/bookings", Right.BOOKINGS_READ, order=25, group="Work")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/bookings", right=Right.BOOKINGS_READ)
async def bookings(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    """From the chosen day on (today, when none is chosen), in the organization's time zone."""
    today = datetime.now(page.timezone).date()
    typed, error = request.query_params.get("from", ""), ""
    try:
        first = date.fromisoformat(typed) if typed else today
        since = datetime.combine(first, time(0), page.timezone)
    except (ValueError, OverflowError):
        first, error = today, "Give a day as year-month-day, such as 2026-11-21."
        since = datetime.combine(today, time(0), page.timezone)
    cursor = request.query_params.get("cursor") or None
    with_cancelled = request.query_params.get("cancelled") == "1"
    async with work.tenant() as uow:
        found = await desk.list_bookings(
            uow, actor, since=since, cancelled=None if with_cancelled else False, cursor=cursor
        )
    kept = {"from": first.isoformat()} | ({"cancelled": "1"} if with_cancelled else {})
    return page.render(
        "bookings/bookings.html",
        bookings=found.items,
        day_from=first.isoformat(),
        earlier=(first - timedelta(days=7)).isoformat() if first > date(2000, 1, 8) else "",
        is_today=first == today,
        with_cancelled=with_cancelled,
        error=error,
        query=urlencode(kept),
        first=f"/bookings?{urlencode(kept)}" if cursor else "",
        next=f"/bookings?{urlencode(kept | {'cursor': found.next_cursor})}" if found.next_cursor else "",
        tab="bookings",
    )


@post("/bookings/{booking_id:uuid}/cancel", right=Right.BOOKINGS_WRITE)
async def cancel(page: Page, work: Work, actor: Actor, booking_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        booking = await desk.cancel_booking(uow, actor, booking_id, now=datetime.now(UTC))
    day = booking.starts_at.astimezone(page.timezone)
    return page.redirect(
        f"/bookings?from={day:%Y-%m-%d}&cancelled=1",
        notice=f"The appointment of {booking.name} is cancelled.",
    )


@post("/bookings/{booking_id:uuid}/move", right=Right.BOOKINGS_WRITE)
async def move(page: Page, work: Work, actor: Actor, booking_id: UUID, data: Form) -> Redirect:
    try:
        starts_at = datetime.fromisoformat(data.get("starts_at", "")).replace(tzinfo=page.timezone)
        async with work.tenant() as uow:
            booking = await desk.move_booking(uow, actor, booking_id, starts_at, now=datetime.now(UTC))
    except (Conflict, InvalidInput) as error:
        return page.redirect("/bookings", notice=f"Not moved. {error}", bad=True)
    except (ValueError, OverflowError):
        return page.redirect("/bookings", notice="Not moved: give a day and a time.", bad=True)
    return page.redirect(
        f"/bookings?from={starts_at:%Y-%m-%d}",
        notice=f"The appointment of {booking.name} is on {starts_at:%-d %b %Y at %H:%M} now.",
    )


@get("/bookings/orders", right=Right.BOOKINGS_READ)
async def orders(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await desk.list_orders(uow, actor, cursor=cursor)
    return page.render(
        "bookings/orders.html",
        orders=found.items,
        first="/bookings/orders" if cursor else "",
        next=f"/bookings/orders?cursor={found.next_cursor}" if found.next_cursor else "",
        tab="orders",
    )


@get("/bookings/callbacks", right=Right.BOOKINGS_READ)
async def callbacks(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    done = request.query_params.get("show") == "done"
    cursor = request.query_params.get("cursor") or None
    base = "/bookings/callbacks?show=done" if done else "/bookings/callbacks?show=open"
    async with work.tenant() as uow:
        found = await notes.callbacks(uow, actor, done=done, cursor=cursor)
    return page.render(
        "bookings/callbacks.html",
        callbacks=found.items,
        done=done,
        first=base if cursor else "",
        next=f"{base}&cursor={found.next_cursor}" if found.next_cursor else "",
        tab="callbacks",
    )


@post("/bookings/callbacks/{note_id:uuid}", right=Right.BOOKINGS_WRITE)
async def set_done(page: Page, work: Work, actor: Actor, note_id: UUID, data: Form) -> Redirect:
    done = data.get("done") == "1"
    async with work.tenant() as uow:
        await notes.set_callback_done(uow, actor, note_id, done=done, now=datetime.now(UTC))
    where = "/bookings/callbacks" if done else "/bookings/callbacks?show=done"
    return page.redirect(where, notice="Done; “Done” brings it back." if done else "It is open again.")


ROUTES = [bookings, cancel, move, orders, callbacks, set_done]
