"""Setting trunks, numbers and hours. The gateway follows by itself: the bridge asks what it should be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent
from appliance.audit.service import record
from appliance.database.engine import violated_constraint
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.telephony.lines_domain import (
    HolidayInput,
    Hours,
    HoursSpan,
    NumberInput,
    ShownNumber,
    ShownTrunk,
    TrunkInput,
)
from appliance.telephony.tables import Holiday, Number, OpeningHours, Trunk

_PLAIN = (
    *("name", "transport", "host", "port", "auth_username", "inbound_username", "srtp"),
    *("qualify_seconds", "max_calls"),
)
_LISTS = ("match", "outbound_proxies", "codecs")


async def list_trunks(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownTrunk]:
    """The trunks, the newest first."""
    actor.must(Right.TRUNKS_READ)
    rows = await uow.session.scalars(newest_first(select(Trunk), Trunk.created_at, Trunk.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown_trunk)


async def get_trunk(uow: UnitOfWork, actor: Actor, trunk_id: UUID) -> ShownTrunk:
    actor.must(Right.TRUNKS_READ)
    row = await uow.session.get(Trunk, trunk_id, populate_existing=True)
    if row is None:
        raise NotFound("The trunk does not exist.")
    return _shown_trunk(row)


async def create_trunk(uow: UnitOfWork, actor: Actor, keys: KeyRing, wanted: TrunkInput) -> ShownTrunk:
    """Conflict when the name is taken."""
    actor.must(Right.TRUNKS_WRITE)
    assert uow.organization_id is not None
    row = Trunk(id=uuid7(), organization_id=uow.organization_id, name=wanted.name)
    await _write_trunk(uow, keys, row, wanted)
    shown = _shown_trunk(row)
    await record(uow, actor, "trunks.created", f"trunk:{row.id}", after=shown.model_dump(mode="json"))
    return shown


async def change_trunk(
    uow: UnitOfWork, actor: Actor, keys: KeyRing, trunk_id: UUID, wanted: TrunkInput, *, revision: str | None
) -> ShownTrunk:
    """Sets everything anew but the passwords that are left out."""
    actor.must(Right.TRUNKS_WRITE)
    row = await row_to_change(uow, Trunk, trunk_id, "The trunk does not exist.")
    before = _shown_trunk(row)
    check_revision(revision, revision_of(before))
    await _write_trunk(uow, keys, row, wanted)
    shown = _shown_trunk(row)
    await record(
        uow,
        actor,
        "trunks.changed",
        f"trunk:{trunk_id}",
        before=before.model_dump(mode="json"),
        after=shown.model_dump(mode="json"),
    )
    return shown


async def delete_trunk(uow: UnitOfWork, actor: Actor, trunk_id: UUID, *, revision: str | None = None) -> None:
    """Conflict while a number is bound to it; its calls stay."""
    actor.must(Right.TRUNKS_WRITE)
    row = await row_to_change(uow, Trunk, trunk_id, "The trunk does not exist.")
    before = _shown_trunk(row)
    check_revision(revision, revision_of(before))
    bound = await uow.session.scalar(select(Number.number).where(Number.trunk_id == trunk_id).limit(1))
    if bound is not None:
        raise Conflict(
            f"The number {bound} is bound to this trunk.",
            remedy="Free the number first.",
            code="trunk_in_use",
        )
    await uow.session.delete(row)
    await uow.session.flush()
    await record(uow, actor, "trunks.deleted", f"trunk:{trunk_id}", before=before.model_dump(mode="json"))


async def list_numbers(
    uow: UnitOfWork,
    actor: Actor,
    *,
    agent_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownNumber]:
    """The numbers (of an agent, if one is named), the newest first."""
    actor.must(Right.NUMBERS_READ)
    statement = _numbers()
    if agent_id is not None:
        statement = statement.where(Number.agent_id == agent_id)
    rows = await uow.session.execute(newest_first(statement, Number.created_at, Number.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.Number.created_at, row.Number.id), _shown_number)


async def get_number(uow: UnitOfWork, actor: Actor, number_id: UUID) -> ShownNumber:
    actor.must(Right.NUMBERS_READ)
    return await _number(uow, number_id)


async def create_number(uow: UnitOfWork, actor: Actor, wanted: NumberInput) -> ShownNumber:
    """Conflict when the number is in use on this box, by whomever."""
    actor.must(Right.NUMBERS_WRITE)
    assert uow.organization_id is not None
    row = Number(id=uuid7(), organization_id=uow.organization_id)
    await _write_number(uow, row, wanted)
    shown = await _number(uow, row.id)
    await record(uow, actor, "numbers.created", f"number:{row.id}", after=shown.model_dump(mode="json"))
    return shown


async def change_number(
    uow: UnitOfWork, actor: Actor, number_id: UUID, wanted: NumberInput, *, revision: str | None
) -> ShownNumber:
    actor.must(Right.NUMBERS_WRITE)
    row = await row_to_change(uow, Number, number_id, "The number does not exist.")
    before = await _number(uow, number_id)
    check_revision(revision, revision_of(before))
    await _write_number(uow, row, wanted)
    shown = await _number(uow, number_id)
    await record(
        uow,
        actor,
        "numbers.changed",
        f"number:{number_id}",
        before=before.model_dump(mode="json"),
        after=shown.model_dump(mode="json"),
    )
    return shown


async def delete_number(
    uow: UnitOfWork, actor: Actor, number_id: UUID, *, revision: str | None = None
) -> None:
    """It is not answered any more; its calls stay."""
    actor.must(Right.NUMBERS_WRITE)
    row = await row_to_change(uow, Number, number_id, "The number does not exist.")
    before = await _number(uow, number_id)
    check_revision(revision, revision_of(before))
    await uow.session.delete(row)
    await uow.session.flush()
    await record(uow, actor, "numbers.deleted", f"number:{number_id}", before=before.model_dump(mode="json"))


async def get_hours(uow: UnitOfWork, actor: Actor) -> Hours:
    """The weekly hours and the holidays, in their order."""
    actor.must(Right.NUMBERS_READ)
    return await _hours(uow)


async def set_hours(uow: UnitOfWork, actor: Actor, wanted: Hours, *, revision: str | None) -> Hours:
    """Replaces hours and holidays as a whole."""
    actor.must(Right.NUMBERS_WRITE)
    assert uow.organization_id is not None
    await uow.lock(f"opening hours {uow.organization_id}")
    before = await _hours(uow)
    check_revision(revision, revision_of(before))
    await uow.session.execute(delete(OpeningHours))
    await uow.session.execute(delete(Holiday))
    uow.session.add_all(
        OpeningHours(organization_id=uow.organization_id, **span.model_dump()) for span in wanted.spans
    )
    uow.session.add_all(
        Holiday(organization_id=uow.organization_id, **day.model_dump()) for day in wanted.holidays
    )
    await uow.session.flush()
    after = await _hours(uow)
    await record(
        uow,
        actor,
        "hours.changed",
        f"organization:{uow.organization_id}",
        before=before.model_dump(mode="json"),
        after=after.model_dump(mode="json"),
    )
    return after


async def _write_trunk(uow: UnitOfWork, keys: KeyRing, row: Trunk, wanted: TrunkInput) -> None:
    organization = await uow.session.get_one(Organization, row.organization_id)
    for name in _PLAIN:
        setattr(row, name, getattr(wanted, name))
    for name in _LISTS:
        setattr(row, name, list(getattr(wanted, name)))
    row.register = wanted.register_at_host

    def sealed(
        username: str | None, given: SecretStr | None, column: str, present: bytes | None
    ) -> bytes | None:
        if username is None:
            return None
        if given is None:
            return present
        plain = given.get_secret_value()
        return keys.encrypt_field(
            organization.id, organization.wrapped_key, f"trunks.{column}", row.id, plain
        )

    row.auth_password = sealed(wanted.auth_username, wanted.auth_password, "auth_password", row.auth_password)
    row.inbound_password = sealed(
        wanted.inbound_username, wanted.inbound_password, "inbound_password", row.inbound_password
    )
    try:
        async with uow.session.begin_nested():
            uow.session.add(row)
            await uow.session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a trunk named {wanted.name} already.", code="name_taken") from error
    await uow.session.refresh(row)


def _shown_trunk(row: Trunk) -> ShownTrunk:
    return ShownTrunk.model_validate(
        {name: getattr(row, name) for name in (*_PLAIN, "id", "created_at")}
        | {name: list(getattr(row, name)) for name in _LISTS}
        | {
            "register_at_host": row.register,
            "has_auth_password": row.auth_password is not None,
            "has_inbound_password": row.inbound_password is not None,
        }
    )


def _numbers() -> Any:
    return (
        select(
            Number,
            Agent.name.label("agent_name"),
            Agent.published_version_id.is_not(None).label("answered"),
            Trunk.name.label("trunk_name"),
        )
        .outerjoin(Agent, Agent.id == Number.agent_id)
        .outerjoin(Trunk, Trunk.id == Number.trunk_id)
        .execution_options(populate_existing=True)
    )


async def _number(uow: UnitOfWork, number_id: UUID) -> ShownNumber:
    row = (await uow.session.execute(_numbers().where(Number.id == number_id))).one_or_none()
    if row is None:
        raise NotFound("The number does not exist.")
    return _shown_number(row)


def _shown_number(row: Any) -> ShownNumber:
    number: Number = row.Number
    return ShownNumber.model_validate(
        {
            "id": number.id,
            "number": number.number,
            "agent_id": number.agent_id,
            "agent_name": row.agent_name,
            "answered": bool(row.answered),
            "trunk_id": number.trunk_id,
            "trunk_name": row.trunk_name,
            "max_calls": number.max_calls,
            "overflow": number.overflow,
            "closed_action": number.closed_action,
            "created_at": number.created_at,
        }
    )


async def _write_number(uow: UnitOfWork, row: Number, wanted: NumberInput) -> None:
    agent = await uow.session.get(Agent, wanted.agent_id)
    if agent is None:
        raise NotFound("The agent does not exist.")
    if agent.archived_at is not None:
        raise Conflict("The agent is archived.", remedy="Restore it first.", code="agent_archived")
    if wanted.trunk_id is not None and await uow.session.get(Trunk, wanted.trunk_id) is None:
        raise NotFound("The trunk does not exist.")
    try:
        async with uow.session.begin_nested():
            for name in ("number", "agent_id", "trunk_id", "max_calls", "overflow", "closed_action"):
                setattr(row, name, getattr(wanted, name))
            uow.session.add(row)
    except IntegrityError as error:
        if violated_constraint(error) == "uq_numbers_number":
            raise Conflict("The number is in use on this box already.", code="number_taken") from error
        raise


async def _hours(uow: UnitOfWork) -> Hours:
    spans = await uow.session.scalars(select(OpeningHours).order_by(OpeningHours.weekday, OpeningHours.opens))
    holidays = await uow.session.scalars(select(Holiday).order_by(Holiday.date))
    return Hours.model_construct(
        spans=tuple(
            HoursSpan.model_construct(weekday=each.weekday, opens=each.opens, closes=each.closes)
            for each in spans
        ),
        holidays=tuple(HolidayInput.model_construct(date=each.date, name=each.name) for each in holidays),
    )
