"""How the widget's public endpoints answer: to allowed origins alone (CORS), without cookies, never kept.

A browser shows a page of another origin an answer only when it names that origin; so a refusal of an origin
is a plain 403 that the page itself cannot read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from pydantic import BaseModel, ValidationError

from appliance.calls.domain import AdmissionRefused
from appliance.errors import InvalidInput, NotAllowed, NotFound, TrunklineError
from appliance.widgets.visits import FoundWidget, find_widget
from console.web.problems import STATUS, problem
from console.web.wiring import Wiring

log = structlog.get_logger()
AnyRequest = Request[Any, Any, State]
_Body = TypeVar("_Body", bound=BaseModel)
MAX_BODY_BYTES = 8192
_RETRY_AFTER_SECONDS = 30
_UNREADABLE = {"Vary": "Origin", "Cross-Origin-Resource-Policy": "same-origin"}
_TOKEN_CODES = frozenset({"token_invalid"})


def _headers(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Vary": "Origin",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


async def allowed_widget(request: AnyRequest, wiring: Wiring, public_id: str) -> tuple[FoundWidget, str]:
    """The widget and the origin that carries it. NotFound, or NotAllowed for another origin and for none."""
    found = await find_widget(wiring.router, wiring.app, public_id)
    origin = request.headers.get("origin", "")
    found.check_origin(origin, own=wiring.settings.console.url)
    return found, origin


async def preflight(request: AnyRequest, wiring: Wiring, public_id: str) -> Response[None]:
    """What a browser asks before it sends JSON to another origin."""
    try:
        _, origin = await allowed_widget(request, wiring, public_id)
    except (NotFound, NotAllowed) as error:
        return _refusal(error, _UNREADABLE)
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": "600",
    }
    return Response(None, status_code=204, headers=_headers(origin) | headers)


async def answer(
    request: AnyRequest,
    wiring: Wiring,
    public_id: str,
    act: Callable[[FoundWidget, str], Awaitable[dict[str, Any] | None]],
) -> Response[Any]:
    """Carries `act` out for an allowed origin; its errors become problem documents that the page may read."""
    try:
        found, origin = await allowed_widget(request, wiring, public_id)
    except (NotFound, NotAllowed) as error:
        return _refusal(error, _UNREADABLE)
    try:
        body = await act(found, origin)
    except TrunklineError as error:
        return _refusal(error, _headers(origin))
    return Response(body, status_code=200 if body is not None else 204, headers=_headers(origin))


async def read_body(request: AnyRequest, model: type[_Body]) -> _Body:
    """The JSON of the body, whatever its type is said to be: at the end of a page only plain text is sent."""
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except (ValidationError, RecursionError) as error:
        raise InvalidInput("The request cannot be read.") from error


def _refusal(error: TrunklineError, headers: dict[str, str]) -> Response[Any]:
    status = _status(error)
    if status >= 500:
        log.warning("widget request failed", code=error.code, reason=error.message)
    more: dict[str, str] = {}
    if status in {429, 503}:
        seconds = getattr(error, "retry_after_seconds", None) or _RETRY_AFTER_SECONDS
        more["Retry-After"] = str(seconds)
    return problem(status, error.code, error.message, headers=headers | more)


def _status(error: TrunklineError) -> int:
    if isinstance(error, AdmissionRefused):
        return 404 if error.sip_status == 404 else 429
    if error.code in _TOKEN_CODES:
        return 401
    return next(number for kind, number in STATUS if isinstance(error, kind))
