"""What a visitor's browser talks to: the file itself, and the beginning and end of a session.

No cookie is read or set here. A session's room is made only after the tool API has admitted the visitor.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from litestar import HttpMethod, Response, get, post, route
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from pydantic import BaseModel, ConfigDict, Field

from appliance.calls.domain import AdmissionRefused
from appliance.errors import NotFound, TrunklineError
from appliance.widgets import visits
from appliance.widgets.domain import VISITOR_LIMIT, Mode, WebCallRequest
from appliance.widgets.tokens import VisitorTokens
from appliance.widgets.visits import FoundWidget
from console.agents.test_call import Calling, provide_calling
from console.web.identity import address_of
from console.web.page import Page
from console.web.wiring import Wiring
from console.widget.answers import MAX_BODY_BYTES, AnyRequest, answer, preflight, read_body
from console.widget.bundle import bundle

FILE = "/widget/v1/trunkline-agent.js"
_OF_WIDGET = "/widget/v1/{public_id:str}"
_OF_SESSION = _OF_WIDGET + "/sessions/{call_id:uuid}"
_WITH_CALLING = {"calling": Provide(provide_calling, sync_to_thread=False)}
_FILE_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
}
_MAX_PUBLIC_ID = 60


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class OpenInput(_Input):
    visitor: str | None = Field(default=None, max_length=1000)


class BeginInput(OpenInput):
    mode: Mode


class TellInput(_Input):
    session: str = Field(max_length=1000)
    by: Literal["caller", "agent"] = "caller"


def _tokens(wiring: Wiring) -> VisitorTokens:
    return VisitorTokens(wiring.settings.console.cookie_key.reveal())


@get(FILE, public=True, sync_to_thread=False)
def serve_file(request: AnyRequest, wiring: Wiring) -> Response[bytes]:
    """The one file; unchanged, it is not sent again."""
    found = bundle(wiring.settings.console.browser_files_dir)
    headers = _FILE_HEADERS | {"ETag": found.etag}
    if request.headers.get("if-none-match") == found.etag:
        return Response(b"", status_code=304, headers=headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    return Response(
        found.packed if packed else found.plain,
        media_type="text/javascript; charset=utf-8",
        headers=headers | ({"Content-Encoding": "gzip"} if packed else {}),
    )


@get("/widget/v1/here", public=True, status_code=204, sync_to_thread=False)
def here() -> Response[None]:
    """By this a browser tells a refused origin from a server that cannot be reached."""
    return Response(None, status_code=204, headers={"Cross-Origin-Resource-Policy": "cross-origin"})


@route(
    [f"{_OF_WIDGET}/open", f"{_OF_WIDGET}/sessions"],
    http_method=[HttpMethod.OPTIONS],
    public=True,
)
async def ask_first(request: AnyRequest, wiring: Wiring, public_id: str) -> Response[None]:
    return await preflight(request, wiring, _plain(public_id))


@route(
    [f"{_OF_SESSION}/answered", f"{_OF_SESSION}/end"],
    http_method=[HttpMethod.OPTIONS],
    public=True,
)
async def ask_first_of_session(
    request: AnyRequest, wiring: Wiring, public_id: str, call_id: UUID
) -> Response[None]:
    return await preflight(request, wiring, _plain(public_id))


@post(f"{_OF_WIDGET}/open", public=True, status_code=200, request_max_body_size=MAX_BODY_BYTES)
async def open_widget(request: AnyRequest, wiring: Wiring, public_id: str) -> Response[Any]:
    """What the widget shows before a session, and the token by which this browser is known again."""

    async def act(found: FoundWidget, _origin: str) -> dict[str, Any]:
        data = await read_body(request, OpenInput)
        _, token = _tokens(wiring).visitor(public_id, data.visitor, datetime.now(UTC))
        row = found.row
        return {"title": row.title, "voice": row.voice, "text": row.text, "visitor": token}

    return await answer(request, wiring, _plain(public_id), act)


@post(
    f"{_OF_WIDGET}/sessions",
    public=True,
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    dependencies=_WITH_CALLING,
)
async def begin(request: AnyRequest, wiring: Wiring, calling: Calling, public_id: str) -> Response[Any]:
    """Takes a place, makes the room with the agent, and gives the browser its tickets.

    429 with `code` visitor_limit, agent_limit, quota_reached or at_capacity; 404 when nobody answers.
    """

    async def act(found: FoundWidget, origin: str) -> dict[str, Any]:
        data = await read_body(request, BeginInput)
        now = datetime.now(UTC)
        tokens = _tokens(wiring)
        visitor, token = tokens.visitor(public_id, data.visitor, now)
        wanted = WebCallRequest(
            organization_id=found.organization_id,
            widget_id=found.row.id,
            mode=data.mode,
            origin=origin,
            visitor=visitor,
            address=tokens.address(address_of(request)),
        )
        await _refuse_early(wiring, found, wanted, now)
        admission = await calling.tool_api.admit_web(wanted)
        try:
            await calling.rooms.create(
                admission.room_name,
                agent_name=admission.agent_name,
                dispatch_metadata=admission.dispatch_metadata,
            )
        except TrunklineError:
            async with wiring.work_of(found.organization_id) as uow:  # gives the place back
                await visits.close(uow, admission.call_id, "bridge", datetime.now(UTC))
            raise
        seconds = admission.limits.max_duration_seconds
        return {
            "call_id": str(admission.call_id),
            "url": wiring.settings.rooms.url,
            "token": admission.participant_token,
            "session": tokens.session(admission.call_id, public_id, seconds, now),
            "seconds": seconds,
            "language": admission.language,
            "visitor": token,
        }

    return await answer(request, wiring, _plain(public_id), act)


async def _refuse_early(wiring: Wiring, found: FoundWidget, wanted: WebCallRequest, now: datetime) -> None:
    """Who is over the limit does not come to the lock at which telephone calls wait."""
    async with wiring.work_of(found.organization_id) as uow:
        over = await visits.is_over_limit(uow, found.row, wanted.visitor, wanted.address, now)
    if over:
        raise AdmissionRefused(
            "This visitor has had enough sessions for now.",
            sip_status=503,
            code=VISITOR_LIMIT,
            retry_after_seconds=600,
        )


@post(f"{_OF_SESSION}/answered", public=True, status_code=200, request_max_body_size=MAX_BODY_BYTES)
async def answered(request: AnyRequest, wiring: Wiring, public_id: str, call_id: UUID) -> Response[Any]:
    """The visitor is in the room together with the agent."""

    async def act(found: FoundWidget, _origin: str) -> None:
        _check_session(wiring, await read_body(request, TellInput), public_id, call_id)
        async with wiring.work_of(found.organization_id) as uow:
            await visits.answered(uow, found.row, call_id)

    return await answer(request, wiring, _plain(public_id), act)


@post(
    f"{_OF_SESSION}/end",
    public=True,
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    dependencies=_WITH_CALLING,
)
async def end(
    request: AnyRequest, wiring: Wiring, calling: Calling, public_id: str, call_id: UUID
) -> Response[Any]:
    """Ends the session; ended already: nothing changes. The room goes, and so the agent."""

    async def act(found: FoundWidget, _origin: str) -> None:
        data = await read_body(request, TellInput)
        _check_session(wiring, data, public_id, call_id)
        async with wiring.work_of(found.organization_id) as uow:
            room = await visits.ended(uow, found.row, call_id, data.by)
        await calling.rooms.delete(room)

    return await answer(request, wiring, _plain(public_id), act)


def _check_session(wiring: Wiring, data: TellInput, public_id: str, call_id: UUID) -> None:
    """NotAllowed for a token that does not hold, NotFound for another session's."""
    identity = _tokens(wiring).read_session(data.session)
    if (identity.call_id, identity.public_id) != (call_id, public_id):
        raise NotFound("There is no such session.")


@get("/widget/demo", public=True)
async def demo(request: AnyRequest, page: Page) -> Response[str]:
    """A page as any web site may have one, with the widget that `agent` names."""
    public_id = request.query_params.get("agent", "")
    if public_id != _plain(public_id):
        raise NotFoundException
    return page.render(
        "widget/demo.html", public_id=public_id, server=page.wiring.settings.console.url, file=FILE
    )


def _plain(public_id: str) -> str:
    """What can be a public id; anything else is looked for as one that nobody has."""
    fits = len(public_id) <= _MAX_PUBLIC_ID and public_id.isascii() and public_id.isprintable()
    return public_id if fits else ""


ROUTES = [serve_file, here, ask_first, ask_first_of_session, open_widget, begin, answered, end, demo]
