"""The requests to the paths of an organization: looked at, and taken once more by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.webhooks.inbound import get_hook, shown_hook
from appliance.webhooks.inbound_domain import RequestDetail, RequestState, Routed, ShownRequest, route
from appliance.webhooks.tables import InboundHook, InboundRequest


async def list_requests(
    uow: UnitOfWork,
    actor: Actor,
    hook_id: UUID,
    *,
    state: RequestState | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownRequest]:
    """What was sent to a path, the newest first."""
    await get_hook(uow, actor, hook_id)
    table = InboundRequest
    statement = select(table).where(table.hook_id == hook_id)
    if state is not None:
        statement = statement.where(table.state == state)
    rows = await uow.session.scalars(newest_first(statement, table.created_at, table.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), shown_request)


async def get_request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> RequestDetail:
    """A request with its headers and its body."""
    actor.must(Right.WEBHOOKS_READ)
    row = await uow.session.get(InboundRequest, request_id, populate_existing=True)
    if row is None:
        raise NotFound("The request does not exist.")
    return RequestDetail(
        **shown_request(row).model_dump(),
        headers=row.document.get("headers") or {},
        body=row.document.get("body"),
    )


async def replay_request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> ShownRequest:
    """Takes a kept request once more, by the rules as they are now. Conflict for one that was refused."""
    actor.must(Right.WEBHOOKS_WRITE)
    found = await uow.session.get(InboundRequest, request_id)
    if found is None:
        raise NotFound("The request does not exist.")
    if found.state == "refused":
        raise Conflict("A request that was refused cannot be taken again: nothing shows who sent it.")
    hook = await uow.session.get_one(InboundHook, found.hook_id)
    row = new_request(hook, route(shown_hook(hook).rules, found.document), found.document)
    row.address, row.size_bytes, row.replay_of = found.address, found.size_bytes, found.id
    if row.state == "waiting":
        actor.must(Right.CALLS_PLACE)
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    await record(uow, actor, "hooks.replayed", f"hook:{hook.id}", after={"request_id": row.id})
    return shown_request(row)


def new_request(hook: InboundHook, found: Routed, document: dict[str, object]) -> InboundRequest:
    """A row for what the rules found; not yet in a session."""
    return InboundRequest(
        id=uuid7(),
        organization_id=hook.organization_id,
        hook_id=hook.id,
        document=document,
        state=found.state,
        rule=found.rule.name if found.rule else None,
        title=found.title,
        detail=found.detail,
        agent_id=found.rule.agent_id if found.rule else None,
        number_id=found.rule.number_id if found.rule else None,
        called=found.to,
        next_try_at=datetime.now(UTC),
    )


def shown_request(row: InboundRequest) -> ShownRequest:
    return ShownRequest(
        id=row.id,
        hook_id=row.hook_id,
        at=row.created_at,
        state=row.state,  # pyright: ignore[reportArgumentType] - checked by the database
        delivery_id=row.delivery_id,
        rule=row.rule,
        title=row.title,
        to=row.called,
        detail=row.detail,
        call_id=row.call_id,
        address=row.address,
        size_bytes=row.size_bytes,
        replay_of=row.replay_of,
    )
