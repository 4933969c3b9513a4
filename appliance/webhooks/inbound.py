"""The organization's own paths for incoming webhooks: set by members, tried, and their requests looked at."""

from __future__ import annotations

import base64
import secrets
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.telephony.tables import Number
from appliance.webhooks.inbound_domain import (
    HookInput,
    NewHook,
    NewHookInput,
    Rule,
    ShownHook,
    TriedHook,
    TriedRule,
    TryInput,
    delivery_id_of,
    document_of,
    fits,
    hash_of,
    route,
)
from appliance.webhooks.tables import InboundHook
from appliance.wire import storable_json

MAX_HOOKS = 50
_MISSING = "The incoming webhook does not exist."
SECRET_FIELD = "inbound_hooks.secret"  # noqa: S105 - the name of a column


async def list_hooks(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownHook]:
    """The paths, the newest first."""
    actor.must(Right.WEBHOOKS_READ)
    table = InboundHook
    rows = await uow.session.scalars(newest_first(select(table), table.created_at, table.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), shown_hook)


async def get_hook(uow: UnitOfWork, actor: Actor, hook_id: UUID) -> ShownHook:
    actor.must(Right.WEBHOOKS_READ)
    row = await uow.session.get(InboundHook, hook_id, populate_existing=True)
    if row is None:
        raise NotFound(_MISSING)
    return shown_hook(row)


async def create_hook(uow: UnitOfWork, actor: Actor, keys: KeyRing, wanted: NewHookInput) -> NewHook:
    """A new path; its secret is shown this once. A rule that calls also needs the right to place calls."""
    actor.must(Right.WEBHOOKS_WRITE)
    assert uow.organization_id is not None
    await _check_rules(uow, actor, wanted.rules)
    await uow.lock(f"inbound hooks {uow.organization_id}")
    known = await uow.session.scalars(select(InboundHook.id))
    if len(known.all()) >= MAX_HOOKS:
        raise Conflict(f"There are {MAX_HOOKS} incoming webhooks already.", remedy="Delete one first.")
    row = InboundHook(
        id=uuid7(),
        organization_id=uow.organization_id,
        public_id=secrets.token_urlsafe(16),
        auth=wanted.auth,
        auth_user=wanted.user,
    )
    secret = await _renew(uow, keys, row)
    _write(row, wanted)
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    shown = shown_hook(row)
    await record(uow, actor, "hooks.created", f"hook:{row.id}", after=shown.model_dump(mode="json"))
    return NewHook(hook=shown, secret=secret)


async def change_hook(
    uow: UnitOfWork, actor: Actor, hook_id: UUID, wanted: HookInput, *, revision: str | None
) -> ShownHook:
    """Sets everything anew but the path and how senders show who they are."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, InboundHook, hook_id, _MISSING)
    before = shown_hook(row)
    check_revision(revision, revision_of(before))
    await _check_rules(uow, actor, wanted.rules)
    _write(row, wanted)
    await uow.session.flush()
    shown = shown_hook(row)
    await record(
        uow,
        actor,
        "hooks.changed",
        f"hook:{hook_id}",
        before=before.model_dump(mode="json"),
        after=shown.model_dump(mode="json"),
    )
    return shown


async def switch_hook(uow: UnitOfWork, actor: Actor, hook_id: UUID, *, enabled: bool) -> ShownHook:
    """On or off, and nothing else; the same twice changes nothing."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, InboundHook, hook_id, _MISSING)
    if row.enabled != enabled:
        row.enabled = enabled
        await uow.session.flush()
        after = {"enabled": enabled}
        await record(
            uow, actor, "hooks.switched", f"hook:{hook_id}", before={"enabled": not enabled}, after=after
        )
    return shown_hook(row)


async def renew_hook_secret(uow: UnitOfWork, actor: Actor, keys: KeyRing, hook_id: UUID) -> NewHook:
    """A new secret, shown this once; the old one is refused at once."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, InboundHook, hook_id, _MISSING)
    secret = await _renew(uow, keys, row)
    await uow.session.flush()
    await record(uow, actor, "hooks.secret_renewed", f"hook:{hook_id}")
    return NewHook(hook=shown_hook(row), secret=secret)


async def delete_hook(uow: UnitOfWork, actor: Actor, hook_id: UUID, *, revision: str | None = None) -> None:
    """With its requests; calls that still wait are not placed."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, InboundHook, hook_id, _MISSING)
    before = shown_hook(row)
    check_revision(revision, revision_of(before))
    await uow.session.delete(row)
    await uow.session.flush()
    await record(uow, actor, "hooks.deleted", f"hook:{hook_id}", before=before.model_dump(mode="json"))


async def try_hook(uow: UnitOfWork, actor: Actor, hook_id: UUID, sample: TryInput) -> TriedHook:
    """What would become of this request: nothing is kept and nobody is called."""
    hook = await get_hook(uow, actor, hook_id)
    try:
        document = document_of(sample.headers, storable_json(sample.body))
    except ValueError as error:
        raise InvalidInput(f"The body cannot be taken: {error}.", field="body") from error
    found = route(hook.rules, document)
    tried = [(rule, *fits(rule, document)) for rule in hook.rules]
    return TriedHook(
        state="called" if found.state == "waiting" else found.state,
        rule=found.rule.name if found.rule else None,
        title=found.title,
        to=found.to,
        detail=found.detail,
        delivery_id=delivery_id_of(hook.delivery_id, document),
        rules=[TriedRule(name=rule.name, fits=fit, problem=problem) for rule, fit, problem in tried],
    )


def shown_hook(row: InboundHook) -> ShownHook:
    return ShownHook(
        id=row.id,
        path=f"/hooks/{row.public_id}",
        name=row.name,
        enabled=row.enabled,
        auth=row.auth,  # pyright: ignore[reportArgumentType] - checked by the database
        user=row.auth_user,
        requests_per_minute=row.requests_per_minute,
        delivery_id=row.delivery_id,
        rules=_rules(row),
        created_at=row.created_at,
    )


def _rules(row: InboundHook) -> tuple[Rule, ...]:
    return tuple(Rule.model_validate(each) for each in row.rules)


async def _check_rules(uow: UnitOfWork, actor: Actor, rules: tuple[Rule, ...]) -> None:
    if any(rule.action == "call" for rule in rules):
        actor.must(Right.CALLS_PLACE)
    for rule in rules:
        if rule.agent_id is not None and await uow.session.get(Agent, rule.agent_id) is None:
            raise NotFound("The agent does not exist.")
        if rule.number_id is not None and await uow.session.get(Number, rule.number_id) is None:
            raise NotFound("The number does not exist.")


def _write(row: InboundHook, wanted: HookInput) -> None:
    row.name, row.enabled = wanted.name, wanted.enabled
    row.requests_per_minute, row.delivery_id = wanted.requests_per_minute, wanted.delivery_id
    row.rules = [rule.model_dump(mode="json") for rule in wanted.rules]


async def _renew(uow: UnitOfWork, keys: KeyRing, row: InboundHook) -> str:
    if row.auth != "signature":
        secret = secrets.token_urlsafe(32)
        row.secret, row.secret_hash = None, hash_of(secret)
        return secret
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    organization = await uow.session.get_one(Organization, row.organization_id)
    row.secret = keys.encrypt_field(organization.id, organization.wrapped_key, SECRET_FIELD, row.id, secret)
    row.secret_hash = None
    return secret
