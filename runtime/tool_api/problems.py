"""Every error as a problem document (RFC 9457), without a traceback and without what the sender wrote."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.calls.domain import AdmissionRefused
from appliance.errors import (
    AtCapacity,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    TrunklineError,
    Unavailable,
)

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_AWAY_SECONDS = 2
_STATUS: tuple[tuple[type[TrunklineError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotAllowed, 403),
    (Conflict, 409),
    (AtCapacity, 503),
    (Unavailable, 503),
    (TrunklineError, 500),
)
_OF_TOKEN = frozenset({"token_missing", "token_invalid", "token_expired"})
_OF_REFUSAL = {404: 404, 403: 403, 503: 503}
_CODE_OF_STATUS = {404: NotFound.code, 401: NotAllowed.code, 403: NotAllowed.code, 503: Unavailable.code}


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document; members that are None are left out."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    } | {name: value for name, value in more.items() if value is not None}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def of_error(error: TrunklineError) -> JSONResponse:
    """The document of one of our own errors."""
    if isinstance(error, AdmissionRefused):
        return problem(
            _OF_REFUSAL.get(error.sip_status, 409),
            error.code,
            str(error),
            headers=_retry_after(error.retry_after_seconds),
            sip_status=error.sip_status,
            retry_after_seconds=error.retry_after_seconds,
            contact=error.contact,
        )
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if isinstance(error, NotAllowed) and error.code in _OF_TOKEN:
        return problem(401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, InvalidInput):
        return problem(status, error.code, str(error), field=error.field or None)
    if isinstance(error, AtCapacity):
        seconds = error.retry_after_seconds
        return problem(
            status, error.code, str(error), headers=_retry_after(seconds), retry_after_seconds=seconds
        )
    if isinstance(error, Unavailable):
        return problem(status, error.code, str(error), headers=_retry_after(RETRY_AFTER_AWAY_SECONDS))
    return problem(status, error.code, str(error))


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TrunklineError)
    answer = of_error(error)
    if isinstance(error, AdmissionRefused):
        log.info("call refused", code=error.code, sip_status=error.sip_status)
    elif answer.status_code >= 500:
        log.warning("request failed", route=_route(request), code=error.code, status=answer.status_code)
    return answer


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    field = ".".join(place[1:]) if len(place) > 1 else place[0]
    log.info("request refused", route=_route(request), code=InvalidInput.code, count=len(error.errors()))
    return problem(422, InvalidInput.code, f"{field}: {first['msg']}.", field=field)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, InvalidInput.code)
    return problem(error.status_code, code, str(error.detail), headers=error.headers)


class Faults:
    """Answers an unforeseen error by a problem document and names its kind and place in the log.

    Below Starlette's own handler, which would pass it on to the server's log with its message: that may hold
    what a caller said.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            log.error("request failed unexpectedly", kind=type(error).__name__, place=place)
            if not started:
                answer = problem(500, TrunklineError.code, "Something went wrong on our side.")
                await answer(scope, receive, send)


def _route(request: Request) -> str:
    route = request.scope.get("route")
    return str(getattr(route, "path", "unknown"))


def install(app: FastAPI) -> None:
    """Makes the application answer every error in this shape."""
    app.add_exception_handler(TrunklineError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_middleware(Faults)
