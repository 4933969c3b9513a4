"""Outbound webhooks: endpoints, the log of deliveries, replays; and with them the incoming ones."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from litestar.params import Parameter

from appliance.access.domain import Actor, Right
from appliance.database.paging import Listed
from appliance.webhooks import service
from appliance.webhooks.domain import (
    DeliveryDetail,
    DeliveryState,
    EndpointInput,
    NewEndpoint,
    ShownDelivery,
    ShownEndpoint,
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
from console.api.webhook_paths import HANDLERS as INCOMING
from console.web.wiring import Wiring
from console.web.work import Work


@reads("/webhooks", right=Right.WEBHOOKS_READ, operation="listWebhooks", one=False)
async def list_endpoints(
    actor: Actor, work: Work, limit: Limit, cursor: Cursor = None
) -> Listed[ShownEndpoint]:
    """The endpoints, the newest first."""
    async with work.tenant() as uow:
        return await service.list_endpoints(uow, actor, cursor=cursor, limit=limit)


@creates("/webhooks", right=Right.WEBHOOKS_WRITE, operation="createWebhook")
async def create_endpoint(
    actor: Actor, work: Work, wiring: Wiring, data: EndpointInput, idempotency_key: IdempotencyKey = None
) -> NewEndpoint:
    """A new endpoint; the secret that signs its events is shown this once."""
    async with work.tenant() as uow:
        return await service.create_endpoint(uow, actor, wiring.keys, data)


@reads("/webhooks/{endpoint_id:uuid}", right=Right.WEBHOOKS_READ, operation="getWebhook")
async def get_endpoint(
    actor: Actor, work: Work, endpoint_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownEndpoint]:
    """One endpoint."""
    async with work.tenant() as uow:
        return tagged(await service.get_endpoint(uow, actor, endpoint_id), if_none_match=if_none_match)


@replaces("/webhooks/{endpoint_id:uuid}", right=Right.WEBHOOKS_WRITE, operation="changeWebhook")
async def change_endpoint(
    actor: Actor, work: Work, endpoint_id: UUID, data: EndpointInput, if_match: IfMatch = None
) -> Response[ShownEndpoint]:
    """Sets everything anew but the secret."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await service.change_endpoint(uow, actor, endpoint_id, data, revision=revision))


@deletes("/webhooks/{endpoint_id:uuid}", right=Right.WEBHOOKS_WRITE, operation="deleteWebhook")
async def delete_endpoint(actor: Actor, work: Work, endpoint_id: UUID, if_match: IfMatch = None) -> None:
    """With the log of its deliveries."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await service.delete_endpoint(uow, actor, endpoint_id, revision=revision)


@creates(
    "/webhooks/{endpoint_id:uuid}/secret",
    right=Right.WEBHOOKS_WRITE,
    operation="renewWebhookSecret",
    status=200,
)
async def renew_secret(
    actor: Actor, work: Work, wiring: Wiring, endpoint_id: UUID, idempotency_key: IdempotencyKey = None
) -> NewEndpoint:
    """A new secret, shown this once. For 24 hours events carry the signature of the one before it too."""
    async with work.tenant() as uow:
        return await service.renew_secret(uow, actor, wiring.keys, endpoint_id)


@creates("/webhooks/{endpoint_id:uuid}/test", right=Right.WEBHOOKS_WRITE, operation="testWebhook", status=202)
async def send_test(
    actor: Actor, work: Work, endpoint_id: UUID, idempotency_key: IdempotencyKey = None
) -> ShownDelivery:
    """Sends an event that says nothing."""
    async with work.tenant() as uow:
        return await service.send_test(uow, actor, endpoint_id)


@reads(
    "/webhooks/{endpoint_id:uuid}/deliveries", right=Right.WEBHOOKS_READ, operation="listWebhookDeliveries"
)
async def list_deliveries(
    actor: Actor,
    work: Work,
    endpoint_id: UUID,
    limit: Limit,
    cursor: Cursor = None,
    delivery_state: Annotated[DeliveryState | None, Parameter(query="state", required=False)] = None,
) -> Listed[ShownDelivery]:
    """What was sent, the newest first."""
    async with work.tenant() as uow:
        return await service.list_deliveries(
            uow, actor, endpoint_id, state=delivery_state, cursor=cursor, limit=limit
        )


@reads("/webhook-deliveries/{delivery_id:uuid}", right=Right.WEBHOOKS_READ, operation="getWebhookDelivery")
async def get_delivery(actor: Actor, work: Work, delivery_id: UUID) -> DeliveryDetail:
    """What is sent, and each try of it."""
    async with work.tenant() as uow:
        return await service.get_delivery(uow, actor, delivery_id)


@creates(
    "/webhook-deliveries/{delivery_id:uuid}/replay",
    right=Right.WEBHOOKS_WRITE,
    operation="replayWebhookDelivery",
    status=202,
)
async def replay(
    actor: Actor, work: Work, delivery_id: UUID, idempotency_key: IdempotencyKey = None
) -> ShownDelivery:
    """Sends the event once more, with the same event id."""
    async with work.tenant() as uow:
        return await service.replay(uow, actor, delivery_id)


HANDLERS: list[Any] = [
    list_endpoints,
    create_endpoint,
    get_endpoint,
    change_endpoint,
    delete_endpoint,
    renew_secret,
    send_test,
    list_deliveries,
    get_delivery,
    replay,
    *INCOMING,
]
