"""`/hooks/<public id>`: where other programs send to. No session, no form: who sends shows it by a secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE

from appliance.errors import NotFound, TrunklineError, Unavailable
from appliance.webhooks.inbound_domain import MAX_BODY_BYTES
from appliance.webhooks.receiving import Incoming, Refusal, find_hook, receive
from console.web.problems import problem
from console.web.wiring import Wiring

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="hooks", Basic realm="hooks"'}


def _on_error(_request: Request[Any, Any, State], error: TrunklineError) -> Response[Any]:
    """Senders are programs, whatever they say that they accept."""
    if isinstance(error, NotFound):
        return problem(404, error.code, error.message)
    if isinstance(error, Unavailable):
        return problem(503, error.code, error.message, headers={"Retry-After": "5"})
    return problem(500, "error", "This should not have happened.")


def _on_http_error(_request: Request[Any, Any, State], error: HTTPException) -> Response[Any]:
    return problem(error.status_code, "bad_request", error.detail)


@post(
    "/hooks/{public_id:str}",
    public=True,
    status_code=202,
    request_max_body_size=MAX_BODY_BYTES,
    exception_handlers={TrunklineError: _on_error, HTTPException: _on_http_error},
)
async def take(request: Request[Any, Any, State], wiring: Wiring, public_id: str) -> Response[Any]:
    """202 with a receipt; 401, 404, 413, 400 and 429 as problem documents."""
    async with wiring.work_of_router() as uow:
        organization_id, hook_id = await find_hook(uow, public_id)
    incoming = Incoming(
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await _body(request),
        address=request.client.host if request.client else None,
    )
    async with wiring.work_of(organization_id) as uow:
        answer = await receive(uow, wiring.keys, hook_id, incoming, datetime.now(UTC))
    if isinstance(answer, Refusal):
        headers = dict(_CHALLENGE) if answer.status == 401 else {}
        if answer.retry_after_seconds is not None:
            headers["Retry-After"] = str(answer.retry_after_seconds)
        return problem(answer.status, answer.code, answer.detail, headers=headers)
    return Response(answer, status_code=202)


async def _body(request: Request[Any, Any, State]) -> bytes | None:
    """None when it is larger than it may be."""
    try:
        return await request.body()
    except HTTPException as error:
        if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            return None
        raise


ROUTES = [take]
