"""The organization's own functions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Response
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right
from appliance.clients.outbound_http import OutboundHttp
from appliance.database.paging import Listed
from appliance.tools import functions
from appliance.tools.functions import FunctionCaller
from appliance.tools.functions_domain import FunctionInput, ShownFunction, Tried
from appliance.wire import JsonObject
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


class TryInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    arguments: JsonObject = Field(default_factory=dict[str, Any], examples=[{"phone": "+4930555011"}])


@reads("/functions", right=Right.FUNCTIONS_READ, operation="listFunctions", one=False)
async def list_functions(
    actor: Actor, work: Work, limit: Limit, cursor: Cursor = None
) -> Listed[ShownFunction]:
    """The functions, the newest first. Secrets are never shown."""
    async with work.tenant() as uow:
        return await functions.list_functions(uow, actor, cursor=cursor, limit=limit)


@creates("/functions", right=Right.FUNCTIONS_WRITE, operation="createFunction")
async def create_function(
    actor: Actor, work: Work, wiring: Wiring, data: FunctionInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownFunction]:
    """A new function; an agent calls it once its version names it."""
    async with work.tenant() as uow:
        shown = await functions.create_function(uow, actor, wiring.keys, data)
    return tagged(shown, status=201, location=f"/api/v1/functions/{shown.id}")


@reads("/functions/{function_id:uuid}", right=Right.FUNCTIONS_READ, operation="getFunction")
async def get_function(
    actor: Actor, work: Work, function_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownFunction]:
    """One function."""
    async with work.tenant() as uow:
        return tagged(await functions.get_function(uow, actor, function_id), if_none_match=if_none_match)


@replaces("/functions/{function_id:uuid}", right=Right.FUNCTIONS_WRITE, operation="changeFunction")
async def change_function(
    actor: Actor,
    work: Work,
    wiring: Wiring,
    function_id: UUID,
    data: FunctionInput,
    if_match: IfMatch = None,
) -> Response[ShownFunction]:
    """Sets everything anew; a secret that is left out stays."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(
            await functions.change_function(uow, actor, wiring.keys, function_id, data, revision=revision)
        )


@deletes("/functions/{function_id:uuid}", right=Right.FUNCTIONS_WRITE, operation="deleteFunction")
async def delete_function(actor: Actor, work: Work, function_id: UUID, if_match: IfMatch = None) -> None:
    """Agents cannot call it any more."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await functions.delete_function(uow, actor, function_id, revision=revision)


@creates(
    "/functions/{function_id:uuid}/try", right=Right.FUNCTIONS_WRITE, operation="tryFunction", status=200
)
async def try_function(
    actor: Actor,
    work: Work,
    wiring: Wiring,
    function_id: UUID,
    data: TryInput,
    idempotency_key: IdempotencyKey = None,
) -> Tried:
    """Calls it once, for real, and shows what came back."""
    caller = FunctionCaller(wiring.keys, OutboundHttp.of(wiring.settings.outbound.allowed_networks))
    async with work.tenant() as uow:
        return await functions.try_function(
            uow, actor, caller, function_id, data.arguments, datetime.now(UTC)
        )


HANDLERS: list[Any] = [
    list_functions,
    create_function,
    get_function,
    change_function,
    delete_function,
    try_function,
]
