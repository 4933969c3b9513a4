"""Widgets: agents on web sites."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response

from appliance.access.domain import Actor, Right
from appliance.database.paging import Listed
from appliance.widgets import service
from appliance.widgets.domain import ShownWidget, WidgetInput
from console.api.answers import (
    Cursor,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Limit,
    creates,
    deletes,
    expected_revision,
    reads,
    replaces,
    tagged,
)
from console.web.work import Work


@reads("/widgets", right=Right.WIDGETS_READ, operation="listWidgets", one=False)
async def list_widgets(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[ShownWidget]:
    """The widgets, the newest first."""
    async with work.tenant() as uow:
        return await service.list_widgets(uow, actor, cursor=cursor, limit=limit)


@creates("/widgets", right=Right.WIDGETS_WRITE, operation="createWidget")
async def create_widget(
    actor: Actor, work: Work, data: WidgetInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownWidget]:
    """A new widget; pages name it by its `public_id`."""
    async with work.tenant() as uow:
        shown = await service.create_widget(uow, actor, data)
    return tagged(shown, status=201, location=f"/api/v1/widgets/{shown.id}")


@reads("/widgets/{widget_id:uuid}", right=Right.WIDGETS_READ, operation="getWidget")
async def get_widget(
    actor: Actor, work: Work, widget_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownWidget]:
    """One widget."""
    async with work.tenant() as uow:
        return tagged(await service.get_widget(uow, actor, widget_id), if_none_match=if_none_match)


@replaces("/widgets/{widget_id:uuid}", right=Right.WIDGETS_WRITE, operation="changeWidget")
async def change_widget(
    actor: Actor, work: Work, widget_id: UUID, data: WidgetInput, if_match: IfMatch = None
) -> Response[ShownWidget]:
    """Sets everything anew but the `public_id`; sessions that run go on as they began."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await service.change_widget(uow, actor, widget_id, data, revision=revision))


@deletes("/widgets/{widget_id:uuid}", right=Right.WIDGETS_WRITE, operation="deleteWidget")
async def delete_widget(actor: Actor, work: Work, widget_id: UUID, if_match: IfMatch = None) -> None:
    """Pages that carry it say that it is not available; the calls of its sessions stay."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await service.delete_widget(uow, actor, widget_id, revision=revision)


HANDLERS: list[Any] = [list_widgets, create_widget, get_widget, change_widget, delete_widget]
