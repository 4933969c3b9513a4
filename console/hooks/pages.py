"""Incoming webhooks: the paths, their rules, and what was sent to them."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.database.revision import revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput
from appliance.telephony import lines
from appliance.webhooks import inbound, inbound_requests
from appliance.webhooks.inbound_domain import NewHook, RequestState, ShownHook, TriedHook, TryInput
from console.hooks.form import EMPTY, read_change, read_new, values_of
from console.web.dependencies import AnyRequest
from console.web.form_errors import WHOLE
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
HOME = "/webhooks/incoming"
AUTH = {
    "signature": "Signature (Standard Webhooks)",
    "bearer": "Bearer token",
    "basic": "User and password",
}
STATES = {
    "waiting": "Call waits",
    "calling": "Being called",
    "called": "Call placed",
    "filed": "Filed",
    "unmatched": "No rule fits",
    "failed": "Failed",
    "refused": "Refused",
}
KINDS = {
    "waiting": "info",
    "calling": "info",
    "called": "good",
    "filed": "good",
    "unmatched": "warn",
    "failed": "bad",
    "refused": "bad",
}
SAMPLE = '{"event": "appointment.missed", "customer": {"phone": "+4930555010"}}'


@get("/webhooks/incoming", right=Right.WEBHOOKS_READ)
async def list_hooks(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await inbound.list_hooks(uow, actor, cursor=cursor)
    return page.render(
        "hooks/list.html",
        hooks=found.items,
        auth=AUTH,
        origin=page.wiring.settings.console.url,
        first=HOME if cursor else "",
        next=f"{HOME}?cursor={found.next_cursor}" if found.next_cursor else "",
    )


@get("/webhooks/incoming/new", right=Right.WEBHOOKS_WRITE)
async def new(page: Page, work: Work, actor: Actor) -> Response[str]:
    async with work.tenant() as uow:
        return await _form(page, uow, actor, None, EMPTY, {})


async def _form(
    page: Page,
    uow: UnitOfWork,
    actor: Actor,
    hook: ShownHook | None,
    values: dict[str, Any],
    errors: dict[str, str],
    *,
    tried: TriedHook | None = None,
    sample: str = SAMPLE,
    sample_error: str = "",
) -> Response[str]:
    agents = (await editing.list_agents(uow, actor, limit=200)).items if actor.may(Right.AGENTS_READ) else []
    numbers = (await lines.list_numbers(uow, actor, limit=200)).items if actor.may(Right.NUMBERS_READ) else []
    return page.render(
        "hooks/settings.html",
        status_code=422 if errors or sample_error else 200,
        hook=hook,
        revision=revision_of(hook) if hook else "",
        values=values,
        errors=errors,
        auth=AUTH,
        agents=[(str(each.id), each.name) for each in agents],
        numbers=[(str(each.id), each.number) for each in numbers],
        origin=page.wiring.settings.console.url,
        tried=tried,
        sample=sample,
        sample_error=sample_error,
        states=STATES,
        kinds=KINDS,
        tab="settings",
    )


def _secret(page: Page, made: NewHook, text: str) -> Response[str]:
    """Shown this once: the page is of the answer to a form and cannot be opened again."""
    return page.render(
        "hooks/secret.html", made=made, text=text, auth=AUTH, origin=page.wiring.settings.console.url
    )


@post("/webhooks/incoming", right=Right.WEBHOOKS_WRITE)
async def create(page: Page, work: Work, wiring: Wiring, actor: Actor, data: Form) -> Response[str]:
    wanted, values, errors = read_new(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                made = await inbound.create_hook(uow, actor, wiring.keys, wanted)
            return _secret(page, made, "The path is there.")
        except (Conflict, InvalidInput) as error:
            errors = {WHOLE: str(error)}
    async with work.tenant() as uow:
        return await _form(page, uow, actor, None, values, errors)


@get("/webhooks/incoming/{hook_id:uuid}", right=Right.WEBHOOKS_READ)
async def requests(request: AnyRequest, page: Page, work: Work, actor: Actor, hook_id: UUID) -> Response[str]:
    """What was sent, the newest first."""
    chosen = request.query_params.get("state") or ""
    state: RequestState | None = next((each for each in get_args(RequestState) if each == chosen), None)
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        hook = await inbound.get_hook(uow, actor, hook_id)
        try:
            found = await inbound_requests.list_requests(uow, actor, hook_id, state=state, cursor=cursor)
        except InvalidInput:  # a cursor of another list: this is the first page
            found = await inbound_requests.list_requests(uow, actor, hook_id, state=state)
            cursor = None
    here, query = f"{HOME}/{hook_id}", {"state": state} if state else {}
    further = urlencode(query | {"cursor": found.next_cursor}) if found.next_cursor else ""
    return page.render(
        "hooks/requests.html",
        hook=hook,
        requests=found.items,
        origin=page.wiring.settings.console.url,
        states=STATES,
        kinds=KINDS,
        state=state or "",
        first=(f"{here}?{urlencode(query)}" if query else here) if cursor else "",
        next=f"{here}?{further}" if further else "",
        tab="requests",
    )


@get("/webhooks/incoming/{hook_id:uuid}/settings", right=Right.WEBHOOKS_READ)
async def edit(page: Page, work: Work, actor: Actor, hook_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        hook = await inbound.get_hook(uow, actor, hook_id)
        return await _form(page, uow, actor, hook, values_of(hook), {})


@post("/webhooks/incoming/{hook_id:uuid}/settings", right=Right.WEBHOOKS_WRITE)
async def change(page: Page, work: Work, actor: Actor, hook_id: UUID, data: Form) -> Response[str] | Redirect:
    wanted, values, errors = read_change(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                await inbound.change_hook(uow, actor, hook_id, wanted, revision=data.get("revision") or None)
            return page.redirect(f"{HOME}/{hook_id}/settings", notice="Saved; it counts from now on.")
        except (Conflict, InvalidInput) as error:
            errors = {WHOLE: str(error)}
    async with work.tenant() as uow:
        hook = await inbound.get_hook(uow, actor, hook_id)
        return await _form(page, uow, actor, hook, values, errors)


@post("/webhooks/incoming/{hook_id:uuid}/try", right=Right.WEBHOOKS_WRITE)
async def try_it(page: Page, work: Work, actor: Actor, hook_id: UUID, data: Form) -> Response[str]:
    """What the stored rules would do with a body: nothing is done."""
    sample, wrong, tried = data.get("sample", ""), "", None
    async with work.tenant() as uow:
        hook = await inbound.get_hook(uow, actor, hook_id)
        try:
            tried = await inbound.try_hook(uow, actor, hook_id, TryInput(body=json.loads(sample or "null")))
        except InvalidInput as error:
            wrong = str(error)
        except (ValueError, RecursionError) as error:
            wrong = f"This is not JSON: {str(error)[:120]}."
        return await _form(
            page, uow, actor, hook, values_of(hook), {}, tried=tried, sample=sample, sample_error=wrong
        )


@post("/webhooks/incoming/{hook_id:uuid}/enabled", right=Right.WEBHOOKS_WRITE)
async def switch(page: Page, work: Work, actor: Actor, hook_id: UUID, data: Form) -> Redirect:
    async with work.tenant() as uow:
        hook = await inbound.switch_hook(uow, actor, hook_id, enabled=data.get("enabled") == "1")
    words = "It takes requests again." if hook.enabled else "It is switched off: senders get 404."
    return page.redirect(f"{HOME}/{hook_id}", notice=words)


@post("/webhooks/incoming/{hook_id:uuid}/secret", right=Right.WEBHOOKS_WRITE, fresh=True)
async def renew(page: Page, work: Work, wiring: Wiring, actor: Actor, hook_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        made = await inbound.renew_hook_secret(uow, actor, wiring.keys, hook_id)
    return _secret(page, made, "The secret is a new one; the old one is refused already.")


@post("/webhooks/incoming/{hook_id:uuid}/delete", right=Right.WEBHOOKS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, hook_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await inbound.delete_hook(uow, actor, hook_id)
    return page.redirect(HOME, notice="The path is deleted, and what was sent to it.")


@get("/webhooks/incoming/requests/{request_id:uuid}", right=Right.WEBHOOKS_READ)
async def show(page: Page, work: Work, actor: Actor, request_id: UUID) -> Response[str]:
    """One request, and what became of it."""
    async with work.tenant() as uow:
        found = await inbound_requests.get_request(uow, actor, request_id)
        hook = await inbound.get_hook(uow, actor, found.hook_id)
    return page.render(
        "hooks/request.html",
        request=found,
        hook=hook,
        states=STATES,
        kinds=KINDS,
        body=json.dumps(found.body, indent=2, ensure_ascii=False),
    )


@post("/webhooks/incoming/requests/{request_id:uuid}/replay", right=Right.WEBHOOKS_WRITE)
async def replay(page: Page, work: Work, actor: Actor, request_id: UUID) -> Redirect:
    try:
        async with work.tenant() as uow:
            found = await inbound_requests.replay_request(uow, actor, request_id)
    except Conflict as error:
        return page.redirect(f"{HOME}/requests/{request_id}", notice=str(error), bad=True)
    return page.redirect(f"{HOME}/requests/{found.id}", notice="It was taken once more, by the rules of now.")


ROUTES = [
    list_hooks,
    new,
    create,
    requests,
    edit,
    change,
    try_it,
    switch,
    renew,
    remove,
    show,
    replay,
]
