"""The organization's own functions: set by members, tried by them, used by agents."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from jsonschema import Draft202012Validator
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.calls.domain import ToolDescription
from appliance.clients.outbound_http import OutboundHttp, checked_url
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound, TrunklineError
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.tools.functions_domain import FunctionInput, ShownFunction, Tried
from appliance.tools.tables import Function
from appliance.wire import storable_json

_MISSING = "The function does not exist."

_PLAIN = (
    *("name", "description", "method", "url", "headers", "auth", "auth_name"),
    *("parameters", "timeout_seconds", "enabled"),
)


@dataclass(frozen=True)
class FunctionCaller:
    """What it takes to call a function: the keys that open its secret, and the way out."""

    keys: KeyRing
    http: OutboundHttp

    async def call(
        self, uow: UnitOfWork, row: Function, arguments: dict[str, Any], call_id: UUID | None
    ) -> Tried:
        """Never raises for what the other side does: `ok` false, and `error` says what was wrong.

        GET and DELETE carry the arguments in the query, the others as a JSON body. 2xx with JSON (or nothing)
        is a result.
        """
        try:
            answer = await self.http.send(
                row.method,
                _with_query(row, arguments),
                headers=await self._headers(uow, row, call_id),
                content=None if row.method in {"GET", "DELETE"} else json.dumps(arguments).encode(),
                timeout_seconds=row.timeout_seconds,
            )
        except TrunklineError as error:
            return Tried(ok=False, status=None, duration_ms=None, result=None, error=str(error))
        error, result = None, None
        try:
            result = storable_json(json.loads(answer.body)) if answer.body.strip() else {}
        except (ValueError, RecursionError):
            error = "The answer is longer than 64 KiB." if answer.cut else "The answer is not JSON."
        if not 200 <= answer.status < 300:
            error = f"The address answered {answer.status}."
        return Tried(
            ok=error is None, status=answer.status, duration_ms=answer.duration_ms, result=result, error=error
        )

    async def _headers(self, uow: UnitOfWork, row: Function, call_id: UUID | None) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            **{str(name): str(value) for name, value in row.headers.items()},
        }
        if row.method not in {"GET", "DELETE"}:
            headers["Content-Type"] = "application/json"
        if call_id is not None:
            headers["Trunkline-Call-Id"] = str(call_id)
        if row.auth == "none" or row.secret is None:
            return headers
        organization = await uow.session.get_one(Organization, row.organization_id)
        secret = self.keys.decrypt_field(
            organization.id, organization.wrapped_key, "functions.secret", row.id, row.secret
        )
        if row.auth == "bearer":
            headers["Authorization"] = f"Bearer {secret}"
        elif row.auth == "basic":
            headers["Authorization"] = (
                "Basic " + base64.b64encode(f"{row.auth_name}:{secret}".encode()).decode()
            )
        else:
            headers[str(row.auth_name)] = secret
        return headers


async def list_functions(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownFunction]:
    """The functions, the newest first."""
    actor.must(Right.FUNCTIONS_READ)
    rows = await uow.session.scalars(
        newest_first(select(Function), Function.created_at, Function.id, cursor, limit)
    )
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown)


async def get_function(uow: UnitOfWork, actor: Actor, function_id: UUID) -> ShownFunction:
    actor.must(Right.FUNCTIONS_READ)
    row = await uow.session.get(Function, function_id, populate_existing=True)
    if row is None:
        raise NotFound(_MISSING)
    return _shown(row)


async def create_function(
    uow: UnitOfWork, actor: Actor, keys: KeyRing, wanted: FunctionInput
) -> ShownFunction:
    """Conflict when the name is taken."""
    actor.must(Right.FUNCTIONS_WRITE)
    assert uow.organization_id is not None
    row = Function(id=uuid7(), organization_id=uow.organization_id)
    await _write(uow, keys, row, wanted)
    shown = _shown(row)
    await record(uow, actor, "functions.created", f"function:{row.id}", after=_told(shown))
    return shown


async def change_function(
    uow: UnitOfWork,
    actor: Actor,
    keys: KeyRing,
    function_id: UUID,
    wanted: FunctionInput,
    *,
    revision: str | None,
) -> ShownFunction:
    """Agents use the function under its name: a published version calls it as it is set now."""
    actor.must(Right.FUNCTIONS_WRITE)
    row = await row_to_change(uow, Function, function_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    await _write(uow, keys, row, wanted)
    shown = _shown(row)
    await record(
        uow, actor, "functions.changed", f"function:{function_id}", before=_told(before), after=_told(shown)
    )
    return shown


async def delete_function(
    uow: UnitOfWork, actor: Actor, function_id: UUID, *, revision: str | None = None
) -> None:
    actor.must(Right.FUNCTIONS_WRITE)
    row = await row_to_change(uow, Function, function_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    await uow.session.delete(row)
    await uow.session.flush()
    await record(uow, actor, "functions.deleted", f"function:{function_id}", before=_told(before))


async def try_function(
    uow: UnitOfWork,
    actor: Actor,
    caller: FunctionCaller,
    function_id: UUID,
    arguments: dict[str, Any],
    now: datetime,
) -> Tried:
    """Calls it once with these arguments, for real. InvalidInput when they do not fit its schema."""
    actor.must(Right.FUNCTIONS_WRITE)
    row = await uow.session.get(Function, function_id)
    if row is None:
        raise NotFound(_MISSING)
    wrong = argument_error(row.parameters, arguments)
    if wrong:
        raise InvalidInput(wrong, field="arguments")
    row.tried_at = now
    await record(uow, actor, "functions.tried", f"function:{function_id}")
    return await caller.call(uow, row, arguments, None)


def argument_error(parameters: dict[str, Any], arguments: dict[str, Any]) -> str | None:
    """What is wrong with the arguments by the function's schema; None: nothing."""
    first = next(iter(Draft202012Validator(parameters).iter_errors(arguments)), None)
    if first is None:
        return None
    place = ".".join(str(part) for part in first.absolute_path)
    return f"{place}: {first.message[:300]}" if place else str(first.message)[:300]


async def enabled_functions(uow: UnitOfWork, names: Iterable[str]) -> list[Function]:
    """Those of the names that exist and are switched on, in order of their name."""
    rows = await uow.session.scalars(
        select(Function).where(Function.name.in_(list(names)), Function.enabled).order_by(Function.name)
    )
    return list(rows)


async def described_functions(uow: UnitOfWork, names: Iterable[str]) -> tuple[ToolDescription, ...]:
    """What the language model is told of them."""
    return tuple(
        ToolDescription(name=row.name, description=row.description, parameters=row.parameters)
        for row in await enabled_functions(uow, names)
    )


def _with_query(row: Function, arguments: dict[str, Any]) -> str:
    if row.method not in {"GET", "DELETE"} or not arguments:
        return row.url
    plain = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()
    }
    return f"{row.url}{'&' if '?' in row.url else '?'}{urlencode(plain)}"


async def _write(uow: UnitOfWork, keys: KeyRing, row: Function, wanted: FunctionInput) -> None:
    checked_url(wanted.url)
    for name in _PLAIN:
        setattr(row, name, getattr(wanted, name))
    if wanted.auth == "none":
        row.secret = None
    elif wanted.secret is not None:
        organization = await uow.session.get_one(Organization, row.organization_id)
        row.secret = keys.encrypt_field(
            organization.id,
            organization.wrapped_key,
            "functions.secret",
            row.id,
            wanted.secret.get_secret_value(),
        )
    try:
        async with uow.session.begin_nested():
            uow.session.add(row)
            await uow.session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a function named {wanted.name} already.", code="name_taken") from error
    await uow.session.refresh(row)


def _shown(row: Function) -> ShownFunction:
    return ShownFunction.model_validate(
        {name: getattr(row, name) for name in (*_PLAIN, "id", "created_at")}
        | {"has_secret": row.secret is not None}
    )


def _told(shown: ShownFunction) -> dict[str, Any]:
    """For the audit log: header values may be secrets."""
    return shown.model_dump(mode="json") | {"headers": sorted(shown.headers)}
