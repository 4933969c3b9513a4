"""Calls: the list, one of them, notes, links, kept filters, sound, export, and placing one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx
from litestar import Response, get
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent
from appliance.calls import archive, call_export, notes, saved_filters, sharing
from appliance.calls.archive_domain import (
    CallDetail,
    CallFilter,
    CallLine,
    NewLink,
    ShownFilter,
    ShownLink,
    ShownNote,
)
from appliance.calls.domain import AdmissionRefused, Outcome
from appliance.clients.problem_documents import error_of_problem
from appliance.database.paging import Listed
from appliance.errors import Conflict, NotFound, Unavailable
from appliance.recordings.playback import Playback, wav_bytes
from appliance.wire import Moment, ShortText
from console.api.answers import (
    Cursor,
    IdempotencyKey,
    IfNoneMatch,
    Limit,
    creates,
    deletes,
    problems,
    reads,
    tagged_by_bytes,
    understood,
)
from console.web.wiring import Wiring
from console.web.work import Work

_RANGE = re.compile(r"^bytes=([0-9]{0,15})-([0-9]{0,15})$")
PLACE_SECONDS = 10.0


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoteInput(Given):
    text: Annotated[ShortText, Field(min_length=1)] = Field(examples=["Called back, all is well."])


class LinkInput(Given):
    expires_at: Moment = Field(examples=["2030-01-31T12:00:00Z"])
    with_recording: bool = False


class FilterInput(Given):
    name: Annotated[ShortText, Field(min_length=1, max_length=80)] = Field(examples=["Failed today"])
    shared: bool = False
    filter: CallFilter


class PlaceInput(Given):
    agent_id: UUID
    to: Annotated[str, Field(pattern=r"^\+?[0-9*#]{1,32}$")] = Field(examples=["+4930555011"])
    trunk_id: UUID | None = None
    number_id: UUID | None = None


class Placed(BaseModel):
    call_id: UUID


async def call_filter(
    number: Annotated[str, Parameter(query="number", max_length=300, required=False)] = "",
    text: Annotated[
        str, Parameter(query="text", max_length=300, required=False, description="Words of the transcript")
    ] = "",
    outcome: Annotated[list[Outcome] | None, Parameter(query="outcome", required=False, max_items=20)] = None,
    agent_id: Annotated[UUID | None, Parameter(query="agent_id", required=False)] = None,
    live: Annotated[bool | None, Parameter(query="live", required=False)] = None,
    without_tests: Annotated[bool, Parameter(query="without_tests", required=False)] = False,
    since: Annotated[datetime | None, Parameter(query="since", required=False)] = None,
    until: Annotated[datetime | None, Parameter(query="until", required=False)] = None,
    min_latency_ms: Annotated[float | None, Parameter(query="min_latency_ms", ge=0, required=False)] = None,
) -> CallFilter:
    """The filter as the query says it. Times need a zone."""
    return understood(
        CallFilter,
        number=number,
        text=text,
        outcome=tuple(outcome or ()),
        agent_id=agent_id,
        live=live,
        without_tests=without_tests,
        since=since,
        until=until,
        min_latency_ms=min_latency_ms,
    )


@reads("/calls", right=Right.CALLS_READ, operation="listCalls", one=False)
async def list_calls(
    actor: Actor, work: Work, wanted: CallFilter, limit: Limit, cursor: Cursor = None
) -> Listed[CallLine]:
    """The calls, the newest first."""
    async with work.tenant() as uow:
        return await archive.search(uow, actor, wanted, cursor, limit)


@creates("/calls", right=Right.CALLS_PLACE, operation="placeCall", status=202)
async def place_call(
    actor: Actor, work: Work, wiring: Wiring, data: PlaceInput, idempotency_key: IdempotencyKey = None
) -> Placed:
    """Lets an agent call a number. 202: it is being placed."""
    async with work.tenant() as uow:
        if await uow.session.get(Agent, data.agent_id) is None:
            raise NotFound("The agent does not exist.")
    wanted = {
        "organization_id": str(actor.organization_id),
        "agent_id": str(data.agent_id),
        "to": data.to,
        "trunk_id": str(data.trunk_id) if data.trunk_id else None,
        "number_id": str(data.number_id) if data.number_id else None,
    }
    token = wiring.settings.tool_api.service_token.reveal()
    url = f"http://127.0.0.1:{wiring.settings.bridge.health_port}/calls/outbound"
    try:
        async with httpx.AsyncClient(timeout=PLACE_SECONDS, trust_env=False) as client:
            answer = await client.post(url, json=wanted, headers={"Authorization": f"Bearer {token}"})
    except httpx.HTTPError as error:
        raise Unavailable("The telephone does not answer.", remedy="Try again in a moment.") from error
    if answer.status_code != 202:
        refused = error_of_problem(answer.status_code, answer.json())
        raise (
            Conflict(refused.message, code=refused.code) if isinstance(refused, AdmissionRefused) else refused
        )
    return Placed(call_id=UUID(answer.json()["call_id"]))


@get(
    "/calls/export",
    right=Right.CALLS_EXPORT,
    operation_id="exportCalls",
    responses={
        **problems(422),
        200: ResponseSpec(str, description="CSV of all calls of the filter", media_type="text/csv"),
    },
)
async def export_calls(actor: Actor, work: Work, wanted: CallFilter) -> Stream:
    """All calls of the filter as CSV; written to the audit log."""
    if wanted.text.strip():
        actor.must(Right.TRANSCRIPTS_READ)
    async with work.tenant() as uow:
        await call_export.begin_export(uow, actor, wanted)

    async def pieces() -> AsyncGenerator[bytes]:
        async for piece in call_export.csv_pieces(work.tenant, actor, wanted):
            yield piece

    return Stream(
        pieces(), media_type="text/csv", headers={"Content-Disposition": 'attachment; filename="calls.csv"'}
    )


@reads("/calls/{call_id:uuid}", right=Right.CALLS_READ, operation="getCall")
async def get_call(
    actor: Actor, work: Work, call_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[CallDetail]:
    """All that is known of a call; words only with the right transcripts:read."""
    async with work.tenant() as uow:
        return tagged_by_bytes(await archive.detail(uow, actor, call_id), if_none_match=if_none_match)


@creates("/calls/{call_id:uuid}/notes", right=Right.CALLS_WRITE, operation="addCallNote")
async def add_note(
    actor: Actor, work: Work, call_id: UUID, data: NoteInput, idempotency_key: IdempotencyKey = None
) -> ShownNote:
    """Writes a note about a call."""
    async with work.tenant() as uow:
        return await notes.add_note(uow, actor, call_id, data.text)


@reads("/calls/{call_id:uuid}/share-links", right=Right.CALLS_READ, operation="listShareLinks")
async def list_links(actor: Actor, work: Work, call_id: UUID) -> list[ShownLink]:
    """The links to a call, also those that are over."""
    async with work.tenant() as uow:
        return await sharing.links_of(uow, actor, call_id)


@creates("/calls/{call_id:uuid}/share-links", right=Right.CALLS_WRITE, operation="createShareLink")
async def create_link(
    actor: Actor, work: Work, call_id: UUID, data: LinkInput, idempotency_key: IdempotencyKey = None
) -> NewLink:
    """A link that shows this call to whoever has it; the token is shown this once."""
    async with work.tenant() as uow:
        return await sharing.create_link(
            uow,
            actor,
            call_id,
            expires_at=data.expires_at,
            with_recording=data.with_recording,
            now=datetime.now(UTC),
        )


@deletes("/share-links/{link_id:uuid}", right=Right.CALLS_WRITE, operation="revokeShareLink")
async def revoke_link(actor: Actor, work: Work, link_id: UUID) -> None:
    """The link opens nothing from now on."""
    async with work.tenant() as uow:
        await sharing.revoke_link(uow, actor, link_id, datetime.now(UTC))


@reads("/call-filters", right=Right.CALLS_READ, operation="listCallFilters", one=False)
async def list_filters(actor: Actor, work: Work) -> list[ShownFilter]:
    """One's own kept filters and the shared ones."""
    async with work.tenant() as uow:
        return await saved_filters.saved_filters(uow, actor)


@creates("/call-filters", right=Right.CALLS_READ, operation="saveCallFilter")
async def save_filter(
    actor: Actor, work: Work, data: FilterInput, idempotency_key: IdempotencyKey = None
) -> ShownFilter:
    """Keeps a filter; the same name again replaces it."""
    async with work.tenant() as uow:
        return await saved_filters.save_filter(uow, actor, data.name, data.filter, shared=data.shared)


@deletes("/call-filters/{filter_id:uuid}", right=Right.CALLS_READ, operation="deleteCallFilter")
async def delete_filter(actor: Actor, work: Work, filter_id: UUID) -> None:
    """Deletes one of one's own filters."""
    async with work.tenant() as uow:
        await saved_filters.delete_filter(uow, actor, filter_id)


@get(
    "/recordings/{recording_id:uuid}/audio",
    right=Right.RECORDINGS_PLAY,
    operation_id="playRecording",
    responses={
        **problems(404, 409, 416, 422),
        200: ResponseSpec(bytes, description="The whole as WAV", media_type="audio/wav"),
        206: ResponseSpec(bytes, description="The part that Range asked for", media_type="audio/wav"),
    },
)
async def play_recording(
    actor: Actor,
    work: Work,
    playback: Playback,
    recording_id: UUID,
    byte_range: Annotated[str | None, Parameter(header="Range", max_length=100, required=False)] = None,
) -> Stream:
    """A recording as WAV: left the caller, right the agent. Written to the audit log."""
    async with work.tenant() as uow:
        opened = await playback.listen(uow, actor, recording_id)
    whole = opened.wav_bytes
    start, end, status = _range(byte_range, whole)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{whole}"
    return Stream(wav_bytes(opened, start, end), status_code=status, media_type="audio/wav", headers=headers)


def _range(asked: str | None, whole: int) -> tuple[int, int, int]:
    """`(start, end, status)` of a single byte range (RFC 9110, 14.2); 416 beyond the end."""
    match = _RANGE.match(asked or "")
    if match is None or match.groups() == ("", ""):
        return 0, whole, 200
    first, last = match.groups()
    start = int(first) if first else max(0, whole - int(last))
    end = min(whole, int(last) + 1) if first and last else whole
    if start >= whole or start >= end:
        raise HTTPException(
            status_code=416,
            detail="The range lies beyond the end.",
            headers={"Content-Range": f"bytes */{whole}"},
        )
    return start, end, 206


HANDLERS: list[Any] = [
    list_calls,
    place_call,
    export_calls,
    get_call,
    add_note,
    list_links,
    create_link,
    revoke_link,
    list_filters,
    save_filter,
    delete_filter,
    play_recording,
]
