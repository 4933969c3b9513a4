"""Incoming webhooks: paths, the requests to them, replays."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from litestar.params import Parameter

from appliance.access.domain import Actor, Right
from appliance.database.paging import Listed
from appliance.webhooks import inbound, inbound_requests
from appliance.webhooks.inbound_domain import (
    HookInput,
    NewHook,
    NewHookInput,
    RequestDetail,
    RequestState,
    ShownHook,
    ShownRequest,
    TriedHook,
    TryInput,
)
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
from console.web.wiring import Wiring
from console.web.work import Work


@reads("/hooks", right=Right.WEBHOOKS_READ, operation="listHooks", one=False)
async def list_hooks(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[ShownHook]:
    """The paths that programs send to, the newest first."""
    async with work.tenant() as uow:
        return await inbound.list_hooks(uow, actor, cursor=cursor, limit=limit)


@creates("/hooks", right=Right.WEBHOOKS_WRITE, operation="createHook")
async def create_hook(
    actor: Actor, work: Work, wiring: Wiring, data: NewHookInput, idempotency_key: IdempotencyKey = None
) -> NewHook:
    """A new path; the secret is shown this once. A rule that calls needs `calls:place` too."""
    async with work.tenant() as uow:
        return await inbound.create_hook(uow, actor, wiring.keys, data)


@reads("/hooks/{hook_id:uuid}", right=Right.WEBHOOKS_READ, operation="getHook")
async def get_hook(
    actor: Actor, work: Work, hook_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownHook]:
    """One path and its rules."""
    async with work.tenant() as uow:
        return tagged(await inbound.get_hook(uow, actor, hook_id), if_none_match=if_none_match)


@replaces("/hooks/{hook_id:uuid}", right=Right.WEBHOOKS_WRITE, operation="changeHook")
async def change_hook(
    actor: Actor, work: Work, hook_id: UUID, data: HookInput, if_match: IfMatch = None
) -> Response[ShownHook]:
    """Sets everything anew but the path, the secret and its kind."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await inbound.change_hook(uow, actor, hook_id, data, revision=revision))


@deletes("/hooks/{hook_id:uuid}", right=Right.WEBHOOKS_WRITE, operation="deleteHook")
async def delete_hook(actor: Actor, work: Work, hook_id: UUID, if_match: IfMatch = None) -> None:
    """With the requests that were kept."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await inbound.delete_hook(uow, actor, hook_id, revision=revision)


@creates("/hooks/{hook_id:uuid}/secret", right=Right.WEBHOOKS_WRITE, operation="renewHookSecret", status=200)
async def renew_secret(
    actor: Actor, work: Work, wiring: Wiring, hook_id: UUID, idempotency_key: IdempotencyKey = None
) -> NewHook:
    """A new secret, shown this once; the old one is refused at once."""
    async with work.tenant() as uow:
        return await inbound.renew_hook_secret(uow, actor, wiring.keys, hook_id)


@creates("/hooks/{hook_id:uuid}/try", right=Right.WEBHOOKS_WRITE, operation="tryHook", status=200)
async def try_hook(
    actor: Actor, work: Work, hook_id: UUID, data: TryInput, idempotency_key: IdempotencyKey = None
) -> TriedHook:
    """What would become of such a request; nothing is done."""
    async with work.tenant() as uow:
        return await inbound.try_hook(uow, actor, hook_id, data)


@reads("/hooks/{hook_id:uuid}/requests", right=Right.WEBHOOKS_READ, operation="listHookRequests")
async def list_requests(
    actor: Actor,
    work: Work,
    hook_id: UUID,
    limit: Limit,
    cursor: Cursor = None,
    request_state: Annotated[RequestState | None, Parameter(query="state", required=False)] = None,
) -> Listed[ShownRequest]:
    """What was sent to the path, the newest first."""
    async with work.tenant() as uow:
        return await inbound_requests.list_requests(
            uow, actor, hook_id, state=request_state, cursor=cursor, limit=limit
        )


@reads("/hook-requests/{request_id:uuid}", right=Right.WEBHOOKS_READ, operation="getHookRequest")
async def get_request(actor: Actor, work: Work, request_id: UUID) -> RequestDetail:
    """What was sent, without secrets, and what became of it."""
    async with work.tenant() as uow:
        return await inbound_requests.get_request(uow, actor, request_id)


@creates(
    "/hook-requests/{request_id:uuid}/replay",
    right=Right.WEBHOOKS_WRITE,
    operation="replayHookRequest",
    status=202,
)
async def replay_request(
    actor: Actor, work: Work, request_id: UUID, idempotency_key: IdempotencyKey = None
) -> ShownRequest:
    """Takes the request once more, by the rules of now; a call needs `calls:place` too."""
    async with work.tenant() as uow:
        return await inbound_requests.replay_request(uow, actor, request_id)


HANDLERS: list[Any] = [
    list_hooks,
    create_hook,
    get_hook,
    change_hook,
    delete_hook,
    renew_secret,
    try_hook,
    list_requests,
    get_request,
    replay_request,
]
