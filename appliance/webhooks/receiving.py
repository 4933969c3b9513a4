"""Taking a request of another program: who sent it, whether it came before, and where the rules lead.

Nothing is done here: a call that a rule asks for waits as a row, and the jobs worker places it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from appliance.access.domain import Actor, ActorKind
from appliance.access.rate import count_request
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.webhooks.inbound import SECRET_FIELD, shown_hook
from appliance.webhooks.inbound_domain import (
    MAX_BODY_BYTES,
    RequestState,
    Routed,
    delivery_id_of,
    document_of,
    hash_of,
    route,
    secret_fits,
)
from appliance.webhooks.inbound_requests import new_request
from appliance.webhooks.tables import InboundHook, InboundRequest
from appliance.wire import storable_json

REFUSALS_PER_MINUTE = 30
"""So many are written down for a path; more are refused without a trace, so that nobody fills the disk."""
_NOWHERE = "There is nothing here."


@dataclass(frozen=True)
class Incoming:
    """A request as it came, names of headers in small letters; `body` is None when it was too large."""

    headers: Mapping[str, str]
    body: bytes | None
    address: str | None


class Receipt(BaseModel):
    """What the sender of a request is told. `repeated`: it had come before, and nothing was done now."""

    model_config = ConfigDict(frozen=True)

    request_id: UUID
    state: RequestState = Field(examples=["waiting"])
    detail: str | None
    repeated: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a request was not taken."""

    status: int
    code: str
    detail: str
    retry_after_seconds: int | None = None


async def find_hook(uow: UnitOfWork, public_id: str) -> tuple[UUID, UUID]:
    """The organization and the path that the address means; `uow` is of the router. NotFound."""
    found = (
        await uow.session.execute(
            select(InboundHook.organization_id, InboundHook.id).where(InboundHook.public_id == public_id)
        )
    ).one_or_none()
    if found is None:
        raise NotFound(_NOWHERE)
    return found[0], found[1]


async def receive(
    uow: UnitOfWork, keys: KeyRing, hook_id: UUID, incoming: Incoming, now: datetime
) -> Receipt | Refusal:
    """NotFound when the path is switched off: that is told like a path that never was."""
    hook = await uow.session.get(InboundHook, hook_id)
    if hook is None or not hook.enabled:
        raise NotFound(_NOWHERE)
    refusal = await _refusal(uow, keys, hook, incoming)
    if refusal is not None:
        return await _refuse(uow, hook, incoming, refusal, now)
    assert incoming.body is not None
    allowance = await count_request(uow, _sender(hook), hook.requests_per_minute, now)
    if allowance.exceeded:
        return Refusal(
            429,
            "at_capacity",
            f"There were more than {hook.requests_per_minute} requests in this minute.",
            allowance.reset_seconds,
        )
    try:
        body: Any = storable_json(json.loads(incoming.body))
    except (ValueError, RecursionError) as error:
        wrong = Refusal(400, "not_json", f"The body is not JSON that can be taken: {str(error)[:160]}.")
        return await _refuse(uow, hook, incoming, wrong, now)
    document = document_of(incoming.headers, body)
    rules = shown_hook(hook).rules
    row = new_request(hook, route(rules, document), document)
    row.delivery_id = delivery_id_of(hook.delivery_id, document)
    row.address, row.size_bytes = incoming.address, len(incoming.body)
    return await _keep(uow, row)


async def _keep(uow: UnitOfWork, row: InboundRequest) -> Receipt:
    """Of two requests with one delivery id the second finds the row of the first, also while both run."""
    table = InboundRequest
    values = {
        column.key: getattr(row, column.key)
        for column in table.__mapper__.column_attrs
        if column.key not in {"created_at", "tries"}
    }
    kept = await uow.session.scalar(
        insert(table)
        .values(values)
        .on_conflict_do_nothing(index_elements=["organization_id", "hook_id", "delivery_id"])
        .returning(table.id)
    )
    if kept is not None:
        return Receipt(request_id=kept, state=_state(row.state), detail=row.detail)
    first = await uow.session.scalar(
        select(table).where(table.hook_id == row.hook_id, table.delivery_id == row.delivery_id)
    )
    if first is None:  # deleted in between
        raise NotFound(_NOWHERE)
    return Receipt(request_id=first.id, state=_state(first.state), detail=first.detail, repeated=True)


async def _refuse(
    uow: UnitOfWork, hook: InboundHook, incoming: Incoming, refusal: Refusal, now: datetime
) -> Refusal:
    allowance = await count_request(uow, _sender(hook, "refused:"), REFUSALS_PER_MINUTE, now)
    if allowance.exceeded:
        return Refusal(
            429, "at_capacity", "Too many requests were refused in this minute.", allowance.reset_seconds
        )
    row = new_request(hook, Routed("refused", detail=refusal.detail), document_of(incoming.headers, None))
    row.address, row.size_bytes = incoming.address, len(incoming.body or b"")
    uow.session.add(row)
    await uow.session.flush()
    return refusal


async def _refusal(uow: UnitOfWork, keys: KeyRing, hook: InboundHook, incoming: Incoming) -> Refusal | None:
    if incoming.body is None:
        return Refusal(413, "too_large", f"The body is larger than {MAX_BODY_BYTES // 1024} KiB.")
    if hook.auth == "signature":
        wrong = await _wrong_signature(uow, keys, hook, incoming.headers, incoming.body)
    else:
        wrong = _wrong_secret(hook, incoming.headers.get("authorization", ""))
    return Refusal(401, "not_authenticated", wrong) if wrong else None


async def _wrong_signature(
    uow: UnitOfWork, keys: KeyRing, hook: InboundHook, headers: Mapping[str, str], body: bytes
) -> str | None:
    organization = await uow.session.get_one(Organization, hook.organization_id)
    assert hook.secret is not None
    secret = keys.decrypt_field(organization.id, organization.wrapped_key, SECRET_FIELD, hook.id, hook.secret)
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        return f"The signature does not hold: {str(error)[:1].lower()}{str(error)[1:]}."
    except (ValueError, ArithmeticError):
        return "The signature does not hold: it cannot be read."
    return None


def _wrong_secret(hook: InboundHook, authorization: str) -> str | None:
    assert hook.secret_hash is not None
    kind, _, given = authorization.partition(" ")
    given = given.strip()
    if kind.lower() != hook.auth or not given:
        return f"This path wants an Authorization of the kind {hook.auth.capitalize()}."
    if hook.auth == "basic":
        try:
            user, _, given = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return "The user and password cannot be read."
        right_user = secret_fits(user, hash_of(hook.auth_user))
        return None if secret_fits(given, hook.secret_hash) and right_user else "User or password are wrong."
    return None if secret_fits(given, hook.secret_hash) else "The token is wrong."


def _sender(hook: InboundHook, kind: str = "") -> Actor:
    return Actor(ActorKind.SYSTEM, f"hook:{kind}{hook.id}", hook.name, hook.organization_id)


def _state(state: str) -> RequestState:
    return state  # pyright: ignore[reportReturnType] - checked by the database
