"""Around every endpoint: the count of requests and its headers, and the answers that are given again."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, cast

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from appliance.access import rate, repetition
from appliance.access.domain import Actor, ActorKind
from appliance.database.revision import CHANGED
from appliance.errors import AtCapacity, Conflict, InvalidInput, NotAllowed
from appliance.organizations.api_keys import holder_of
from console.web.identity import identify
from console.web.problems import on_own_error, problem
from console.web.wiring import Wiring

REQUESTS_PER_MINUTE = 600
"""Of a member; a key has a number of its own."""
MAX_KEY = 200
MAX_BODY_BYTES = 1024 * 1024
_allowed_per_minute: ContextVar[int] = ContextVar("allowed_per_minute", default=REQUESTS_PER_MINUTE)
"""What the key of this request allows: found together with its holder."""
_KEPT_HEADERS = ("content-type", "etag", "location")


async def actor_of_key(wiring: Wiring, key: str, address: str | None) -> Actor | None:
    """Whose key it is; None when it does not hold."""
    try:
        holder = await holder_of(wiring.router, wiring.app, key, address=address, now=datetime.now(UTC))
    except NotAllowed:
        return None
    _allowed_per_minute.set(holder.requests_per_minute)
    return holder.actor


def on_conflict(request: Request[Any, Any, Any], error: Conflict) -> Response[Any]:
    """A stale ETag is 412, every other conflict 409."""
    if error.code == CHANGED:
        return problem(412, error.code, str(error))
    return on_own_error(request, error)


class RequestCount(ASGIMiddleware):
    """Counts requests for each actor; over the limit they are refused (429) until the minute is over."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope, receive)
        wiring: Wiring = connection.app.state.wiring
        found = await identify(connection, wiring)
        if found is None or found.actor.organization_id is None:
            await next_app(scope, receive, send)
            return
        actor = found.actor
        limit = _allowed_per_minute.get() if actor.kind is ActorKind.API_KEY else REQUESTS_PER_MINUTE
        async with wiring.work_of(actor.organization_id) as uow:
            allowance = await rate.count_request(uow, actor, limit, datetime.now(UTC))

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                headers["RateLimit-Limit"] = str(allowance.limit)
                headers["RateLimit-Remaining"] = str(allowance.remaining)
                headers["RateLimit-Reset"] = str(allowance.reset_seconds)
            await send(message)

        if allowance.exceeded:
            refusal = AtCapacity(
                f"There were more than {limit} requests in this minute.",
                retry_after_seconds=allowance.reset_seconds,
            )
            answer = on_own_error(Request(scope), refusal)
            await answer.to_asgi_response(None, Request(scope))(scope, receive, send_counted)
            return
        await next_app(scope, receive, send_counted)


class Repetition(ASGIMiddleware):
    """POST with an Idempotency-Key: carried out once, whoever repeats it is given the first answer."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope, receive)
        key = connection.headers.get("idempotency-key")
        wiring: Wiring = connection.app.state.wiring
        found = await identify(connection, wiring) if key is not None else None
        if (
            key is None
            or found is None
            or found.actor.organization_id is None
            or cast("HTTPScope", scope)["method"] != "POST"
        ):
            await next_app(scope, receive, send)
            return
        if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
            raise InvalidInput("The Idempotency-Key must have 1 to 200 characters.", field="Idempotency-Key")
        body = await _whole_body(receive)
        await _once(connection, wiring, found.actor, key, body, send, next_app)


async def _once(
    connection: ASGIConnection[Any, Any, Any, Any],
    wiring: Wiring,
    actor: Actor,
    key: str,
    body: bytes,
    send: Send,
    next_app: ASGIApp,
) -> None:
    scope = connection.scope
    request = cast("HTTPScope", scope)
    print_ = repetition.fingerprint(request["method"], request["path"], request["query_string"], body)
    async with wiring.work_of(actor.organization_id) as uow:
        kept = await repetition.claim(uow, wiring.keys, actor, key, print_, datetime.now(UTC))
    if kept is not None:
        headers = {**kept.headers, "idempotency-replayed": "true"}
        media_type = headers.pop("content-type", None)
        again: Response[bytes] = Response(
            kept.body, status_code=kept.status, headers=headers, media_type=media_type
        )
        await again.to_asgi_response(None, Request(scope))(scope, _replayed(body), send)
        return
    status, kept_headers, sent = 500, dict[str, str](), bytearray()

    async def watched(message: Message) -> None:
        nonlocal status, kept_headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = MutableScopeHeaders.from_message(message)
            kept_headers = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        elif message["type"] == "http.response.body":
            sent.extend(message["body"])
            if not message["more_body"]:
                await _settle(wiring, actor, key, repetition.KeptAnswer(status, kept_headers, bytes(sent)))
        await send(message)

    try:
        await next_app(scope, _replayed(body), watched)
    except BaseException:
        await _settle(wiring, actor, key, repetition.KeptAnswer(500, {}, b""))
        raise


async def _settle(wiring: Wiring, actor: Actor, key: str, answer: repetition.KeptAnswer) -> None:
    """Kept before the last byte leaves, so that who asks again at once finds it; failures are not kept."""
    async with wiring.work_of(actor.organization_id) as uow:
        if answer.status >= 500 or answer.status in {401, 403, 429}:
            await repetition.release(uow, actor, key)
        else:
            await repetition.keep(uow, wiring.keys, actor, key, answer)


async def _whole_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message["body"]
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput("The body is too large.", field="body")
        if not message["more_body"]:
            return bytes(body)


def _replayed(body: bytes) -> Receive:
    """What the handler reads: the body that was read already, then nothing more."""
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return cast("Receive", receive)
