"""Outgoing webhooks: the list, each one's settings, and the log of its deliveries."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.database.revision import revision_of
from appliance.errors import Conflict, InvalidInput
from appliance.webhooks import service
from appliance.webhooks.domain import EVENT_NAMES, DeliveryState, EndpointInput, NewEndpoint, ShownEndpoint
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, sentences
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Webhooks", "/webhooks", Right.WEBHOOKS_READ, order=57, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
EVENTS = {
    "call.started": "A call begins",
    "call.ended": "A call has ended",
    "recording.ready": "A recording can be played",
    "recording.failed": "A recording was lost",
    "booking.made": "An appointment was booked",
    "quota.near": "The month's minutes are nearly used up",
    "agent.version_published": "An agent's version was published",
    "endpoint.test": "A test that says nothing",
}
STATES = {"waiting": "Waiting", "delivered": "Delivered", "failed": "Failed"}
KINDS = {"waiting": "info", "delivered": "good", "failed": "bad"}
EMPTY: dict[str, Any] = {"url": "", "description": "", "events": (), "enabled": True}


def _read(data: Form) -> tuple[EndpointInput | None, dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {
        name: data.get(name, "").replace("\x00", "").strip() for name in ("url", "description")
    }
    values["events"] = tuple(name for name in EVENT_NAMES if f"event.{name}" in data)
    values["enabled"] = "enabled" in data
    try:
        return EndpointInput.model_validate(values), values, {}
    except ValidationError as error:
        errors = sentences(error)
        if "events" in errors:
            errors["events"] = "Choose at least one event."
        if "url" in errors:
            errors["url"] = "Give the whole address, such as https://example.com/hooks."
        return None, values, errors


@get("/webhooks", right=Right.WEBHOOKS_READ)
async def list_endpoints(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await service.list_endpoints(uow, actor, cursor=cursor)
    return page.render(
        "webhooks/list.html",
        endpoints=found.items,
        events=EVENTS,
        first="/webhooks" if cursor else "",
        next=f"/webhooks?cursor={found.next_cursor}" if found.next_cursor else "",
    )


@get("/webhooks/new", right=Right.WEBHOOKS_WRITE)
async def new(page: Page) -> Response[str]:
    return _form(page, None, EMPTY, {})


def _form(
    page: Page, endpoint: ShownEndpoint | None, values: dict[str, Any], errors: dict[str, str]
) -> Response[str]:
    return page.render(
        "webhooks/settings.html",
        status_code=422 if errors else 200,
        endpoint=endpoint,
        revision=revision_of(endpoint) if endpoint else "",
        values=values,
        errors=errors,
        choices=[(name, EVENTS[name]) for name in EVENT_NAMES],
        tab="settings",
    )


def _secret(page: Page, made: NewEndpoint, text: str) -> Response[str]:
    """Shown this once: the page is of the answer to a form and cannot be opened again."""
    return page.render("webhooks/secret.html", made=made, text=text)


@post("/webhooks", right=Right.WEBHOOKS_WRITE)
async def create(page: Page, work: Work, wiring: Wiring, actor: Actor, data: Form) -> Response[str]:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                made = await service.create_endpoint(uow, actor, wiring.keys, wanted)
            return _secret(page, made, "The webhook is there.")
        except InvalidInput as error:
            errors = {error.field or WHOLE: error.message}
        except Conflict as error:
            errors = {WHOLE: str(error)}
    return _form(page, None, values, errors)


@get("/webhooks/{endpoint_id:uuid}", right=Right.WEBHOOKS_READ)
async def deliveries(
    request: AnyRequest, page: Page, work: Work, actor: Actor, endpoint_id: UUID
) -> Response[str]:
    """The log: what was sent, the newest first."""
    chosen = request.query_params.get("state") or ""
    state: DeliveryState | None = next((each for each in get_args(DeliveryState) if each == chosen), None)
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        endpoint = await service.get_endpoint(uow, actor, endpoint_id)
        try:
            found = await service.list_deliveries(uow, actor, endpoint_id, state=state, cursor=cursor)
        except InvalidInput:  # a cursor of another list: this is the first page
            found, cursor = await service.list_deliveries(uow, actor, endpoint_id, state=state), None
    here, query = f"/webhooks/{endpoint_id}", {"state": state} if state else {}
    further = urlencode(query | {"cursor": found.next_cursor}) if found.next_cursor else ""
    return page.render(
        "webhooks/deliveries.html",
        endpoint=endpoint,
        deliveries=found.items,
        events=EVENTS,
        states=STATES,
        kinds=KINDS,
        state=state or "",
        first=(f"{here}?{urlencode(query)}" if query else here) if cursor else "",
        next=f"{here}?{further}" if further else "",
        tab="deliveries",
    )


@get("/webhooks/{endpoint_id:uuid}/settings", right=Right.WEBHOOKS_READ)
async def edit(page: Page, work: Work, actor: Actor, endpoint_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        endpoint = await service.get_endpoint(uow, actor, endpoint_id)
    return _form(page, endpoint, endpoint.model_dump(), {})


@post("/webhooks/{endpoint_id:uuid}/settings", right=Right.WEBHOOKS_WRITE)
async def change(
    page: Page, work: Work, actor: Actor, endpoint_id: UUID, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                await service.change_endpoint(
                    uow, actor, endpoint_id, wanted, revision=data.get("revision") or None
                )
            return page.redirect(f"/webhooks/{endpoint_id}/settings", notice="Saved.")
        except InvalidInput as error:
            errors = {error.field or WHOLE: error.message}
        except Conflict as error:
            errors = {WHOLE: str(error)}
    async with work.tenant() as uow:
        stored = await service.get_endpoint(uow, actor, endpoint_id)
    return _form(page, stored, values, errors)


@post("/webhooks/{endpoint_id:uuid}/enabled", right=Right.WEBHOOKS_WRITE)
async def switch(page: Page, work: Work, actor: Actor, endpoint_id: UUID, data: Form) -> Redirect:
    async with work.tenant() as uow:
        shown = await service.switch_endpoint(uow, actor, endpoint_id, enabled=data.get("enabled") == "1")
    words = "It is told of events again." if shown.enabled else "It is switched off: nothing more is sent."
    return page.redirect(f"/webhooks/{endpoint_id}", notice=words)


@post("/webhooks/{endpoint_id:uuid}/secret", right=Right.WEBHOOKS_WRITE, fresh=True)
async def renew(page: Page, work: Work, wiring: Wiring, actor: Actor, endpoint_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        made = await service.renew_secret(uow, actor, wiring.keys, endpoint_id)
    return _secret(
        page,
        made,
        "The secret is a new one and signs from the next sending on, for 24 hours beside the one before it.",
    )


@post("/webhooks/{endpoint_id:uuid}/test", right=Right.WEBHOOKS_WRITE)
async def send_test(page: Page, work: Work, actor: Actor, endpoint_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        shown = await service.send_test(uow, actor, endpoint_id)
    return page.redirect(f"/webhooks/deliveries/{shown.id}", notice="A test event is on its way.")


@post("/webhooks/{endpoint_id:uuid}/delete", right=Right.WEBHOOKS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, endpoint_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await service.delete_endpoint(uow, actor, endpoint_id)
    return page.redirect("/webhooks", notice="The webhook is deleted; what waited is not sent.")


@get("/webhooks/deliveries/{delivery_id:uuid}", right=Right.WEBHOOKS_READ)
async def delivery(page: Page, work: Work, actor: Actor, delivery_id: UUID) -> Response[str]:
    """One delivery: each try of it, and what is sent."""
    async with work.tenant() as uow:
        shown = await service.get_delivery(uow, actor, delivery_id)
        endpoint = await service.get_endpoint(uow, actor, shown.endpoint_id)
    return page.render(
        "webhooks/delivery.html",
        delivery=shown,
        endpoint=endpoint,
        events=EVENTS,
        states=STATES,
        kinds=KINDS,
        payload=json.dumps(shown.payload, indent=2, ensure_ascii=False),
    )


@post("/webhooks/deliveries/{delivery_id:uuid}/replay", right=Right.WEBHOOKS_WRITE)
async def replay(page: Page, work: Work, actor: Actor, delivery_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        shown = await service.replay(uow, actor, delivery_id)
    return page.redirect(f"/webhooks/deliveries/{shown.id}", notice="It is sent once more.")


ROUTES = [
    list_endpoints,
    new,
    create,
    deliveries,
    edit,
    change,
    switch,
    renew,
    send_test,
    remove,
    delivery,
    replay,
]
