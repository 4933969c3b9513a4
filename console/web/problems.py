"""Errors as people and programs see them: a page in plain words, or a problem document (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urlencode

import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.response import Redirect

from appliance.access.domain import Actor, Right
from appliance.errors import (
    AtCapacity,
    Conflict,
    IntegrityError,
    InvalidInput,
    NotAllowed,
    NotFound,
    TrunklineError,
    Unavailable,
)
from console.web.guard import ForeignForm, NoPlaceHere, PasswordNeeded, SignInNeeded
from console.web.identity import Identity
from console.web.page import Page, Viewer
from console.web.wiring import Wiring

log = structlog.get_logger()
AnyRequest = Request[Any, Any, Any]

STATUS: tuple[tuple[type[TrunklineError], int], ...] = (
    (SignInNeeded, 401),
    (InvalidInput, 422),
    (NotFound, 404),
    (NotAllowed, 403),
    (Conflict, 409),
    (AtCapacity, 429),
    (Unavailable, 503),
    (IntegrityError, 500),
    (TrunklineError, 500),
)
RETRY_AFTER_SECONDS = 5
_MACHINES = ("/api/", "/health/", "/internal/")
_TITLES = {
    401: "Please sign in",
    403: "You may not do this",
    404: "There is nothing here",
    405: "This cannot be done here",
    409: "Somebody else was quicker",
    413: "That is too much at once",
    422: "That cannot be meant",
    429: "One moment, please",
    500: "Something went wrong on our side",
    503: "A part of the box is away",
}


def is_program(request: AnyRequest) -> bool:
    """Whether the answer should be a problem document."""
    if request.url.path.startswith(_MACHINES) or request.headers.get("authorization"):
        return True
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def problem(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response[Any]:
    """A problem document; `more` adds members of its own."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **more,
    }
    return Response(body, status_code=status, media_type="application/problem+json", headers=headers or {})


def on_own_error(request: AnyRequest, error: TrunklineError) -> Response[Any]:
    status = next(number for kind, number in STATUS if isinstance(error, kind))
    if status >= 500:
        log.warning("request failed", path=_template(request), code=error.code, reason=error.message)
    if not is_program(request):
        if isinstance(error, SignInNeeded):
            return _to_sign_in(request, {})
        if isinstance(error, PasswordNeeded):
            return _to_sign_in(request, {"again": "1"})
        if isinstance(error, NoPlaceHere) and (actor := _actor(request)) and actor.may(Right.BOX_READ):
            return Redirect("/box", status_code=303)
        return _error_page(request, status, error.message, error.remedy, error.code)
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if isinstance(error, AtCapacity):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif isinstance(error, SignInNeeded):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, InvalidInput) and error.field:
        more["errors"] = [{"field": error.field, "message": error.message}]
    return problem(status, error.code, str(error), headers=headers, **more)


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What Litestar itself refuses: unknown paths, wrong methods, bodies that do not fit."""
    status = error.status_code
    detail = error.detail if status < 500 else "This should not have happened."
    if isinstance(error, NotAuthorizedException | PermissionDeniedException):
        detail = detail or "Not allowed."
    fields = [
        {"field": str(item.get("key", "")), "message": str(item.get("message", ""))}
        for item in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(item, dict)
    ]
    extra: Any = error.extra
    code = str(extra.get("code")) if isinstance(extra, dict) and extra.get("code") else _code(status)
    headers = {str(key): str(value) for key, value in (error.headers or {}).items()}
    if is_program(request):
        status = 422 if status == 400 and fields else status
        return problem(status, code, detail, headers=headers, **({"errors": fields} if fields else {}))
    words = "; ".join(f"{item['field']}: {item['message']}" for item in fields) or detail
    if status == 404:
        words = "This address leads nowhere, or to something that is not yours."
    return _error_page(request, status, words, "", code)


def on_surprise(request: AnyRequest, error: Exception) -> Response[Any]:
    """A mistake of ours: logged with its trace, told without."""
    log.error("request broke", path=_template(request), exc_info=error)
    text = "This should not have happened, and it has been written down."
    if is_program(request):
        return problem(500, "error", text)
    return _error_page(
        request, 500, text, "Try it once more; if it happens again, tell your operator.", "error"
    )


EXCEPTION_HANDLERS: Any = {
    TrunklineError: on_own_error,
    HTTPException: on_http_error,
    Exception: on_surprise,
}


def _code(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_")


def _form_token(request: AnyRequest, wiring: Wiring) -> str:
    """For the button by which somebody without a place leaves again."""
    found: Identity | None = cast("Any", request.scope).get("trunkline_identity")
    return wiring.cookies.form_token(found.secret) if found is not None and found.secret else ""


def _actor(request: AnyRequest) -> Actor | None:
    found: Identity | None = cast("Any", request.scope).get("trunkline_identity")
    return found.actor if found is not None else None


def _template(request: AnyRequest) -> str:
    return str(request.scope.get("path_template") or "?")


def _to_sign_in(request: AnyRequest, more: dict[str, str]) -> Response[Any]:
    """Back to where one was: after a form that was not sent, to the page that held it."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method not in {"GET", "HEAD"}:
        wiring: Wiring = request.app.state.wiring
        referer = request.headers.get("referer", "")
        own = wiring.settings.console.url + "/"
        here = referer[len(own) - 1 :] if referer.startswith(own) else "/"
    return Redirect(f"/sign-in?{urlencode({'next': here, **more}, quote_via=quote)}", status_code=303)


def _error_page(request: AnyRequest, status: int, message: str, remedy: str, code: str) -> Response[str]:
    """Needs neither database nor Keycloak: it is shown when they are away."""
    wiring: Wiring = request.app.state.wiring
    theme = request.cookies.get("trunkline-theme", "")
    page = Page(wiring, request.url.path, Viewer(), theme=theme if theme in {"light", "dark"} else "")
    lost = code == NoPlaceHere.code
    text = page.fragment(
        "error.html",
        sign_out=_form_token(request, wiring) if lost else "",
        status=status,
        title=_TITLES.get(status, HTTPStatus(status).phrase),
        message=message,
        remedy=remedy,
        code=code,
        foreign_form=code == ForeignForm.code,
    )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in {429, 503} else {}
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=headers)
