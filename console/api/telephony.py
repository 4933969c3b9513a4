"""Trunks, numbers, opening hours."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from litestar.params import Parameter

from appliance.access.domain import Actor, Right
from appliance.clients.bridge import probe_trunk
from appliance.database.paging import Listed
from appliance.telephony import lines
from appliance.telephony.lines_domain import Hours, NumberInput, ShownNumber, ShownTrunk, TrunkInput
from appliance.telephony.trunk_test_domain import TrunkTestResult
from appliance.telephony.trunk_tests import begin_trunk_test
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


@reads("/trunks", right=Right.TRUNKS_READ, operation="listTrunks", one=False)
async def list_trunks(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[ShownTrunk]:
    """The trunks, the newest first. Passwords are never shown."""
    async with work.tenant() as uow:
        return await lines.list_trunks(uow, actor, cursor=cursor, limit=limit)


@creates("/trunks", right=Right.TRUNKS_WRITE, operation="createTrunk")
async def create_trunk(
    actor: Actor, work: Work, wiring: Wiring, data: TrunkInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownTrunk]:
    """A new trunk; the gateway takes it up within seconds."""
    async with work.tenant() as uow:
        shown = await lines.create_trunk(uow, actor, wiring.keys, data)
    return tagged(shown, status=201, location=f"/api/v1/trunks/{shown.id}")


@reads("/trunks/{trunk_id:uuid}", right=Right.TRUNKS_READ, operation="getTrunk")
async def get_trunk(
    actor: Actor, work: Work, trunk_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownTrunk]:
    """One trunk."""
    async with work.tenant() as uow:
        return tagged(await lines.get_trunk(uow, actor, trunk_id), if_none_match=if_none_match)


@replaces("/trunks/{trunk_id:uuid}", right=Right.TRUNKS_WRITE, operation="changeTrunk")
async def change_trunk(
    actor: Actor, work: Work, wiring: Wiring, trunk_id: UUID, data: TrunkInput, if_match: IfMatch = None
) -> Response[ShownTrunk]:
    """Sets everything anew; a password that is left out stays."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await lines.change_trunk(uow, actor, wiring.keys, trunk_id, data, revision=revision))


@deletes("/trunks/{trunk_id:uuid}", right=Right.TRUNKS_WRITE, operation="deleteTrunk")
async def delete_trunk(actor: Actor, work: Work, trunk_id: UUID, if_match: IfMatch = None) -> None:
    """Takes the trunk away; 409 while a number is bound to it."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await lines.delete_trunk(uow, actor, trunk_id, revision=revision)


@creates("/trunks/{trunk_id:uuid}/test", right=Right.TRUNKS_WRITE, operation="testTrunk", status=200)
async def ask_trunk(
    actor: Actor, work: Work, wiring: Wiring, trunk_id: UUID, idempotency_key: IdempotencyKey = None
) -> TrunkTestResult:
    """Sends an OPTIONS to each address of the trunk and waits some seconds for the answers. Nothing rings."""
    async with work.tenant() as uow:
        await begin_trunk_test(uow, actor, trunk_id)
    return await probe_trunk(wiring.settings, trunk_id)


@reads("/numbers", right=Right.NUMBERS_READ, operation="listNumbers", one=False)
async def list_numbers(
    actor: Actor,
    work: Work,
    limit: Limit,
    cursor: Cursor = None,
    agent_id: Annotated[UUID | None, Parameter(query="agent_id", required=False)] = None,
) -> Listed[ShownNumber]:
    """The numbers, the newest first."""
    async with work.tenant() as uow:
        return await lines.list_numbers(uow, actor, agent_id=agent_id, cursor=cursor, limit=limit)


@creates("/numbers", right=Right.NUMBERS_WRITE, operation="createNumber")
async def create_number(
    actor: Actor, work: Work, data: NumberInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownNumber]:
    """A number that an agent answers; 409 when it is in use on this box."""
    async with work.tenant() as uow:
        shown = await lines.create_number(uow, actor, data)
    return tagged(shown, status=201, location=f"/api/v1/numbers/{shown.id}")


@reads("/numbers/{number_id:uuid}", right=Right.NUMBERS_READ, operation="getNumber")
async def get_number(
    actor: Actor, work: Work, number_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownNumber]:
    """One number."""
    async with work.tenant() as uow:
        return tagged(await lines.get_number(uow, actor, number_id), if_none_match=if_none_match)


@replaces("/numbers/{number_id:uuid}", right=Right.NUMBERS_WRITE, operation="changeNumber")
async def change_number(
    actor: Actor, work: Work, number_id: UUID, data: NumberInput, if_match: IfMatch = None
) -> Response[ShownNumber]:
    """Sets everything anew."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await lines.change_number(uow, actor, number_id, data, revision=revision))


@deletes("/numbers/{number_id:uuid}", right=Right.NUMBERS_WRITE, operation="deleteNumber")
async def delete_number(actor: Actor, work: Work, number_id: UUID, if_match: IfMatch = None) -> None:
    """It is not answered any more."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await lines.delete_number(uow, actor, number_id, revision=revision)


@reads("/opening-hours", right=Right.NUMBERS_READ, operation="getOpeningHours", one=False)
async def get_hours(actor: Actor, work: Work, if_none_match: IfNoneMatch = None) -> Response[Hours]:
    """The weekly hours and the holidays, in the organization's time zone."""
    async with work.tenant() as uow:
        return tagged(await lines.get_hours(uow, actor), if_none_match=if_none_match)


@replaces("/opening-hours", right=Right.NUMBERS_WRITE, operation="setOpeningHours")
async def set_hours(actor: Actor, work: Work, data: Hours, if_match: IfMatch = None) -> Response[Hours]:
    """Replaces hours and holidays as a whole."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await lines.set_hours(uow, actor, data, revision=revision))


HANDLERS: list[Any] = [
    list_trunks,
    create_trunk,
    get_trunk,
    change_trunk,
    delete_trunk,
    ask_trunk,
    list_numbers,
    create_number,
    get_number,
    change_number,
    delete_number,
    get_hours,
    set_hours,
]
