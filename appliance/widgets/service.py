"""An organization's widgets: made, changed, deleted."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.widgets.domain import ShownWidget, WidgetInput
from appliance.widgets.tables import Widget

MAX_WIDGETS = 100
_SHOWN = tuple(ShownWidget.model_fields)
_WRITTEN = tuple(WidgetInput.model_fields)


async def list_widgets(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownWidget]:
    """The widgets, the newest first."""
    actor.must(Right.WIDGETS_READ)
    rows = await uow.session.scalars(
        newest_first(select(Widget), Widget.created_at, Widget.id, cursor, limit)
    )
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown)


async def get_widget(uow: UnitOfWork, actor: Actor, widget_id: UUID) -> ShownWidget:
    actor.must(Right.WIDGETS_READ)
    row = await uow.session.get(Widget, widget_id, populate_existing=True)
    if row is None:
        raise NotFound("The widget does not exist.")
    return _shown(row)


async def create_widget(uow: UnitOfWork, actor: Actor, wanted: WidgetInput) -> ShownWidget:
    """A new widget, with a public id of its own. NotFound for an unknown agent, Conflict for too many."""
    actor.must(Right.WIDGETS_WRITE)
    assert uow.organization_id is not None
    await uow.lock(f"widgets {uow.organization_id}")
    if (await uow.session.scalar(select(func.count()).select_from(Widget)) or 0) >= MAX_WIDGETS:
        raise Conflict(f"There are {MAX_WIDGETS} widgets already.", remedy="Delete one first.")
    row = Widget(id=uuid7(), organization_id=uow.organization_id, public_id=f"wg_{secrets.token_urlsafe(15)}")
    await _write(uow, row, wanted)
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    shown = _shown(row)
    await record(uow, actor, "widgets.created", f"widget:{row.id}", after=_told(shown))
    return shown


async def change_widget(
    uow: UnitOfWork, actor: Actor, widget_id: UUID, wanted: WidgetInput, *, revision: str | None
) -> ShownWidget:
    """Sets everything anew; sessions that run go on as they began."""
    actor.must(Right.WIDGETS_WRITE)
    row = await row_to_change(uow, Widget, widget_id, "The widget does not exist.")
    before = _shown(row)
    check_revision(revision, revision_of(before))
    await _write(uow, row, wanted)
    await uow.session.flush()
    shown = _shown(row)
    await record(
        uow, actor, "widgets.changed", f"widget:{widget_id}", before=_told(before), after=_told(shown)
    )
    return shown


async def delete_widget(
    uow: UnitOfWork, actor: Actor, widget_id: UUID, *, revision: str | None = None
) -> None:
    """Pages that carry it say that it is not available; the calls of its sessions stay."""
    actor.must(Right.WIDGETS_WRITE)
    row = await row_to_change(uow, Widget, widget_id, "The widget does not exist.")
    before = _shown(row)
    check_revision(revision, revision_of(before))
    await uow.session.delete(row)
    await uow.session.flush()
    await record(uow, actor, "widgets.deleted", f"widget:{widget_id}", before=_told(before))


async def _write(uow: UnitOfWork, row: Widget, wanted: WidgetInput) -> None:
    if await uow.session.get(Agent, wanted.agent_id) is None:
        raise NotFound("The agent does not exist.")
    for name in _WRITTEN:
        setattr(row, name, getattr(wanted, name))
    row.origins = list(dict.fromkeys(wanted.origins))


def _shown(row: Widget) -> ShownWidget:
    return ShownWidget.model_validate({name: getattr(row, name) for name in _SHOWN})


def _told(shown: ShownWidget) -> dict[str, Any]:
    return shown.model_dump(mode="json")
