"""A visitor's side of a widget: which one it is, whether this site may carry it, and its own session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls import life, tables
from appliance.calls.domain import Ended, Progress
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotAllowed, NotFound
from appliance.widgets.origins import is_allowed
from appliance.widgets.tables import Widget, WidgetSession

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class FoundWidget:
    """A widget that is switched on, and whose it is."""

    organization_id: UUID
    row: Widget

    def check_origin(self, origin: str, *, own: str) -> None:
        """NotAllowed unless this site may carry it; `own` is the box's own origin, of the demo page."""
        if self.row.demo and origin == own:
            return
        if not is_allowed(self.row.origins, origin):
            raise NotAllowed("This site may not carry the widget.", code="origin_not_allowed")


async def find_widget(router: AsyncEngine, app: AsyncEngine, public_id: str) -> FoundWidget:
    """NotFound when there is none, or it is switched off: the two are told alike."""
    async with UnitOfWork(router, None) as uow:
        organization_id = await uow.session.scalar(
            select(Widget.organization_id).where(Widget.public_id == public_id)
        )
    if organization_id is not None:
        async with UnitOfWork(app, organization_id) as uow:
            row = await uow.session.scalar(select(Widget).where(Widget.public_id == public_id))
        if row is not None and row.enabled:
            return FoundWidget(organization_id, row)
    raise NotFound("There is no such widget.")


async def is_over_limit(uow: UnitOfWork, widget: Widget, visitor: str, address: str, now: datetime) -> bool:
    """Whether this visitor, or this address, has had its sessions of the last hour."""
    session = WidgetSession
    counted = await uow.session.execute(
        select(
            func.count().filter(session.visitor == visitor).label("of_visitor"),
            func.count().filter(session.address == address).label("of_address"),
        )
        .select_from(session)
        .where(session.widget_id == widget.id, session.created_at > now - HOUR)
    )
    row = counted.one()
    return (
        row.of_visitor >= widget.visitor_sessions_per_hour
        or row.of_address >= widget.address_sessions_per_hour
    )


async def answered(uow: UnitOfWork, widget: Widget, call_id: UUID) -> None:
    """The visitor is in the room together with the agent."""
    await _own(uow, widget, call_id)
    now = datetime.now(UTC)
    await life.progress(uow, call_id, Progress(status="answered", at=now), now)


async def ended(uow: UnitOfWork, widget: Widget, call_id: UUID, by: Literal["caller", "agent"]) -> str:
    """The session is over; ended already: nothing changes. Returns the name of its room."""
    call = await _own(uow, widget, call_id)
    await close(uow, call_id, by, datetime.now(UTC))
    return call.room_name


async def close(
    uow: UnitOfWork, call_id: UUID, by: Literal["caller", "agent", "bridge"], now: datetime
) -> None:
    """Gives the place of a call back."""
    await life.ended(uow, call_id, Ended(at=now, hangup_party=by, q850_cause=16), now)


async def close_finished(uow: UnitOfWork, call_id: UUID, now: datetime) -> None:
    """The worker has finished with a call: one from a web site has nobody else who would end it."""
    call = await life.locked_call(uow, call_id)
    if call.direction == "web" and call.ended_at is None:
        await close(uow, call_id, "caller" if call.ended_by == "caller" else "agent", now)


async def _own(uow: UnitOfWork, widget: Widget, call_id: UUID) -> tables.Call:
    call = await uow.session.scalar(
        select(tables.Call)
        .join(WidgetSession, WidgetSession.call_id == tables.Call.id)
        .where(tables.Call.id == call_id, WidgetSession.widget_id == widget.id)
    )
    if call is None:
        raise NotFound("There is no such session.")
    return call
