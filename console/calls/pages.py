"""Calls: the list with its search, one call with its sound and its words, notes, links, export."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect, Stream

from appliance.access.domain import Actor, Right
from appliance.calls import archive, call_export, notes, saved_filters, sharing
from appliance.calls.archive_domain import CallDetail
from appliance.errors import Conflict, InvalidInput
from appliance.recordings.playback import Playback
from console.calls import sound
from console.calls.choices import agent_choices
from console.calls.search_form import (
    DIRECTION_WORDS,
    OUTCOME_KINDS,
    OUTCOME_WORDS,
    quick_days,
    read_search,
    values_of,
)
from console.calls.timing import STAGES, waterfall
from console.web.dependencies import AnyRequest, seen_by_guests
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Calls", "/calls", Right.CALLS_READ, order=20, group="Work")]
PAGE_SIZE = 50
NOTE_LIMIT = 5000
MOST_TURNS = 100
"""A call of hours has a thousand; its page shows the slowest of them until all are asked for."""
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
WORDS: dict[str, Any] = {
    "outcomes": OUTCOME_WORDS,
    "outcome_kinds": OUTCOME_KINDS,
    "directions": DIRECTION_WORDS,
}
CAUSES = {
    1: "The number is not in service",
    16: "Hung up as usual",
    17: "Busy",
    18: "Nobody answered",
    19: "Nobody answered",
    20: "The telephone was not reachable",
    21: "Refused",
    27: "The far side is out of order",
    31: "Ended without a reason",
    34: "No line was free",
    38: "The network was out of order",
    41: "The network failed for a moment",
    102: "A timer ran out",
    127: "Ended without a known reason",
}
"""ITU-T Q.850, in a person's words."""
LINK_DAYS = {"1": "One day", "7": "One week", "30": "30 days", "90": "90 days"}


@get("/calls", right=Right.CALLS_READ)
async def list_calls(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    form = read_search(request.query_params, page.timezone)
    errors = dict(form.errors)
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        try:
            found = await archive.search(uow, actor, form.wanted, cursor, PAGE_SIZE)
        except InvalidInput as error:
            errors["cursor"] = error.message
            found = await archive.search(uow, actor, form.wanted, None, PAGE_SIZE)
        filters = await saved_filters.saved_filters(uow, actor)
        agents = await agent_choices(uow)
    saved = [
        (each, read_search(values_of(each.filter, page.timezone), page.timezone).query) for each in filters
    ]
    return page.render(
        "calls/list.html",
        calls=found.items,
        next=f"/calls?{form.with_cursor(found.next_cursor)}" if found.next_cursor else "",
        first=f"/calls?{form.query}" if cursor else "",
        form=form,
        errors=errors,
        saved=saved,
        agents=agents,
        quick=quick_days(datetime.now(UTC), page.timezone),
        **WORDS,
    )


@post("/calls/filters", right=Right.CALLS_READ)
async def save_filter(page: Page, work: Work, actor: Actor, data: Form) -> Redirect:
    form = read_search(data, page.timezone)
    name = data.get("name", "").strip()
    back = f"/calls?{form.query}"
    if not name or len(name) > 80:
        return page.redirect(back, notice="Give the filter a name of up to 80 letters.", bad=True)
    if form.wanted.is_empty:
        return page.redirect(
            back, notice="Search for something first; an empty search needs no name.", bad=True
        )
    async with work.tenant() as uow:
        try:
            await saved_filters.save_filter(uow, actor, name, form.wanted, shared="shared" in data)
        except Conflict as error:
            return page.redirect(back, notice=str(error), bad=True)
    return page.redirect(back, notice=f"Saved as “{name}”.")


@post("/calls/filters/{filter_id:uuid}/delete", right=Right.CALLS_READ)
async def delete_filter(page: Page, work: Work, actor: Actor, filter_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await saved_filters.delete_filter(uow, actor, filter_id)
    return page.redirect("/calls", notice="The filter is deleted.")


@get("/calls/export.csv", right=Right.CALLS_EXPORT)
async def export_calls(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Stream:
    wanted = read_search(request.query_params, page.timezone).wanted
    async with work.tenant() as uow:
        await call_export.begin_export(uow, actor, wanted)

    async def pieces() -> AsyncGenerator[bytes]:
        async for piece in call_export.csv_pieces(work.tenant, actor, wanted):
            yield piece

    name = f"calls-{datetime.now(page.timezone):%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(pieces(), media_type="text/csv; charset=utf-8", headers=headers)


@get("/calls/{call_id:uuid}", right=Right.CALLS_READ)
async def one_call(
    page: Page, work: Work, actor: Actor, call_id: UUID, turns: str | None = None
) -> Response[str]:
    return await _call_page(page, work, actor, call_id, all_turns=turns == "all")


async def _call_page(
    page: Page,
    work: Work,
    actor: Actor,
    call_id: UUID,
    *,
    new_link: str = "",
    note_error: str = "",
    all_turns: bool = False,
) -> Response[str]:
    async with work.tenant() as uow:
        call = await archive.detail(uow, actor, call_id)
        links = await sharing.links_of(uow, actor, call_id)
    return page.render(
        "calls/call.html",
        status_code=422 if note_error else 200,
        links=links,
        now=datetime.now(UTC),
        new_link=new_link,
        note_error=note_error,
        link_days=LINK_DAYS,
        may_share=actor.may(Right.CALLS_WRITE) and actor.may(Right.TRANSCRIPTS_READ),
        may_play=actor.may(Right.RECORDINGS_PLAY),
        sound_base=f"/calls/{call_id}/recordings",
        **_shown(call, most_turns=None if all_turns else MOST_TURNS),
    )


def _shown(call: CallDetail, *, most_turns: int | None = None) -> dict[str, Any]:
    return {
        "call": call,
        "falls": waterfall(call.turn_list, most=most_turns),
        "stages": STAGES,
        "pretty": _pretty,
        "causes": CAUSES,
        "attempts": sorted({each.attempt for each in call.segments} | {r.attempt for r in call.recordings}),
        "turns_answered": sum(1 for turn in call.turn_list if "first_audio_out" in turn.stamps),
        **WORDS,
    }


def _pretty(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@post("/calls/{call_id:uuid}/notes", right=Right.CALLS_WRITE)
async def add_note(
    page: Page, work: Work, actor: Actor, call_id: UUID, data: Form
) -> Response[str] | Redirect:
    text = data.get("text", "").replace("\x00", "").strip()
    if not text or len(text) > NOTE_LIMIT:
        problem = "Write something first." if not text else f"A note has at most {NOTE_LIMIT} letters."
        return await _call_page(page, work, actor, call_id, note_error=problem)
    async with work.tenant() as uow:
        await notes.add_note(uow, actor, call_id, text)
    return page.redirect(f"/calls/{call_id}#notes", notice="The note is written.")


@post("/calls/{call_id:uuid}/links", right=Right.CALLS_WRITE)
async def share(
    page: Page, work: Work, wiring: Wiring, actor: Actor, call_id: UUID, data: Form
) -> Response[str]:
    now = datetime.now(UTC)
    days = int(data["days"]) if data.get("days") in LINK_DAYS else 7
    # A minute less: the service's limit counts from its own now.
    ends = now + timedelta(days=days) - timedelta(minutes=1)
    async with work.tenant() as uow:
        made = await sharing.create_link(
            uow, actor, call_id, expires_at=ends, with_recording="recording" in data, now=now
        )
    address = f"{wiring.settings.console.url}/shared/{made.token}"
    return await _call_page(page, work, actor, call_id, new_link=address)


@post("/calls/{call_id:uuid}/links/{link_id:uuid}/revoke", right=Right.CALLS_WRITE)
async def revoke(page: Page, work: Work, actor: Actor, call_id: UUID, link_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await sharing.revoke_link(uow, actor, link_id, datetime.now(UTC))
    return page.redirect(f"/calls/{call_id}#share", notice="The link opens nothing any more.")


_WITH_PLAYBACK = {"playback": Provide(sound.provide_playback, sync_to_thread=False)}


@get(
    "/calls/{call_id:uuid}/recordings/{recording_id:uuid}/peaks",
    right=Right.RECORDINGS_PLAY,
    dependencies=_WITH_PLAYBACK,
)
async def peaks(
    playback: Playback, wiring: Wiring, actor: Actor, call_id: UUID, recording_id: UUID
) -> dict[str, object]:
    return await sound.peaks_of(playback, wiring, actor, call_id, recording_id)


@get(
    "/calls/{call_id:uuid}/recordings/{recording_id:uuid}/audio.wav",
    right=Right.RECORDINGS_PLAY,
    dependencies=_WITH_PLAYBACK,
)
async def audio(
    request: AnyRequest, playback: Playback, wiring: Wiring, actor: Actor, call_id: UUID, recording_id: UUID
) -> Response[bytes] | Stream:
    wanted = request.headers.get("range")
    return await sound.sound_of(playback, wiring, actor, call_id, recording_id, wanted)


async def _opened(wiring: Wiring, request: AnyRequest, token: str) -> sharing.Opened:
    parsed = sharing.ShareToken.parse(token)
    address = request.client.host if request.client else None
    async with wiring.work_of(parsed.organization_id) as uow:
        return await sharing.open_link(uow, parsed, address=address, now=datetime.now(UTC))


@get("/shared/{token:str}", public=True)
async def shared(request: AnyRequest, page: Page, wiring: Wiring, token: str) -> Response[str]:
    opened = await _opened(wiring, request, token)
    seen = await seen_by_guests(wiring, sharing.ShareToken.parse(token).organization_id)
    return replace(page, viewer=seen).render(
        "calls/shared.html",
        may_play=opened.with_recording,
        sound_base=f"/shared/{token}/recordings",
        **_shown(opened.call),
    )


@get("/shared/{token:str}/recordings/{recording_id:uuid}/peaks", public=True, dependencies=_WITH_PLAYBACK)
async def shared_peaks(
    request: AnyRequest, playback: Playback, wiring: Wiring, token: str, recording_id: UUID
) -> dict[str, object]:
    opened = await _opened(wiring, request, token)
    return await sound.peaks_of(playback, wiring, opened.actor, opened.call.id, recording_id)


@get("/shared/{token:str}/recordings/{recording_id:uuid}/audio.wav", public=True, dependencies=_WITH_PLAYBACK)
async def shared_audio(
    request: AnyRequest, playback: Playback, wiring: Wiring, token: str, recording_id: UUID
) -> Response[bytes] | Stream:
    opened = await _opened(wiring, request, token)
    wanted = request.headers.get("range")
    return await sound.sound_of(playback, wiring, opened.actor, opened.call.id, recording_id, wanted)


ROUTES = [
    list_calls,
    save_filter,
    delete_filter,
    export_calls,
    one_call,
    add_note,
    share,
    revoke,
    peaks,
    audio,
    shared,
    shared_peaks,
    shared_audio,
]
