"""Widgets in the console: the list, each one's settings, and the lines that a web site copies."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.database.revision import revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.widgets import service
from appliance.widgets.domain import ShownWidget, WidgetInput
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, sentences
from console.web.page import Page
from console.web.work import Work
from console.widget.routes import FILE

NAVIGATION = [NavigationEntry("Widgets", "/widgets", Right.WIDGETS_READ, order=65, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
TEXTS = ("name", "agent_id", "title")
NUMBERS = (
    "max_sessions",
    "visitor_sessions_per_hour",
    "address_sessions_per_hour",
    "max_duration_seconds",
)
SWITCHES = ("voice", "text", "demo", "enabled")
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(TEXTS, ""),
    **{name: str(WidgetInput.model_fields[name].default) for name in NUMBERS},
    **dict.fromkeys(SWITCHES, True),
    "origins": "",
}


def _read(data: Form) -> tuple[WidgetInput | None, dict[str, Any], dict[str, str]]:
    """The widget that was typed, or None; the values as typed; what is wrong."""
    values: dict[str, Any] = {
        name: data.get(name, "").replace("\x00", "").strip() for name in (*TEXTS, *NUMBERS)
    }
    values["origins"] = data.get("origins", "").replace("\x00", "").replace("\r\n", "\n")
    values |= {name: name in data for name in SWITCHES}
    given = {name: value for name, value in values.items() if value not in ("", None)}
    given["origins"] = [line for line in values["origins"].splitlines() if line.strip()]
    try:
        return WidgetInput.model_validate(given), values, {}
    except ValidationError as error:
        return None, values, sentences(error)


def _values(widget: ShownWidget) -> dict[str, Any]:
    kept = widget.model_dump(mode="json")
    return {
        **{name: str(kept[name]) for name in (*TEXTS, *NUMBERS)},
        **{name: kept[name] for name in SWITCHES},
        "origins": "\n".join(widget.origins),
    }


async def _agents(uow: UnitOfWork, actor: Actor) -> list[tuple[str, str]]:
    found = (await editing.list_agents(uow, actor, limit=200)).items
    return [
        (str(each.id), each.name if each.published_version else f"{each.name} (not published)")
        for each in found
    ]


def snippet_of(page: Page, widget: ShownWidget) -> str:
    """What goes into the web site's own page."""
    server = page.wiring.settings.console.url
    return (
        f'<script src="{escape(server)}{FILE}" defer></script>\n'
        f'<trunkline-agent agent="{escape(widget.public_id)}" server="{escape(server)}"></trunkline-agent>'
    )


@get("/widgets", right=Right.WIDGETS_READ)
async def list_widgets(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await service.list_widgets(uow, actor, cursor=cursor)
        names = dict(await _agents(uow, actor))
    return page.render(
        "widget/list.html",
        widgets=found.items,
        agents=names,
        first="/widgets" if cursor else "",
        next=f"/widgets?cursor={found.next_cursor}" if found.next_cursor else "",
    )


def _form(
    page: Page,
    agents: list[tuple[str, str]],
    widget: ShownWidget | None,
    values: dict[str, Any],
    errors: dict[str, str],
) -> Response[str]:
    return page.render(
        "widget/edit.html",
        status_code=422 if errors else 200,
        agents=agents,
        widget=widget,
        revision=revision_of(widget) if widget else "",
        snippet=snippet_of(page, widget) if widget else "",
        values=values,
        errors=errors,
    )


@get("/widgets/new", right=Right.WIDGETS_WRITE)
async def new(page: Page, work: Work, actor: Actor) -> Response[str]:
    async with work.tenant() as uow:
        agents = await _agents(uow, actor)
    return _form(page, agents, None, _EMPTY, {})


@post("/widgets", right=Right.WIDGETS_WRITE)
async def create(page: Page, work: Work, actor: Actor, data: Form) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                widget = await service.create_widget(uow, actor, wanted)
        except (Conflict, NotFound) as error:
            errors = {WHOLE if isinstance(error, Conflict) else "agent_id": str(error)}
        else:
            return page.redirect(
                f"/widgets/{widget.id}", notice=f"{widget.name} is there. Copy its lines into your page."
            )
    async with work.tenant() as uow:
        agents = await _agents(uow, actor)
    return _form(page, agents, None, values, errors)


@get("/widgets/{widget_id:uuid}", right=Right.WIDGETS_READ)
async def edit(page: Page, work: Work, actor: Actor, widget_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        widget = await service.get_widget(uow, actor, widget_id)
        agents = await _agents(uow, actor)
    return _form(page, agents, widget, _values(widget), {})


@post("/widgets/{widget_id:uuid}", right=Right.WIDGETS_WRITE)
async def change(
    page: Page, work: Work, actor: Actor, widget_id: UUID, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    async with work.tenant() as uow:
        stored = await service.get_widget(uow, actor, widget_id)
        agents = await _agents(uow, actor)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                await service.change_widget(
                    uow, actor, widget_id, wanted, revision=data.get("revision") or None
                )
        except Conflict as error:
            errors = {WHOLE: str(error)}
        except NotFound as error:
            errors = {"agent_id": str(error)}
        else:
            return page.redirect(f"/widgets/{widget_id}", notice="Saved; it holds from the next session on.")
    return _form(page, agents, stored, values, errors)


@post("/widgets/{widget_id:uuid}/delete", right=Right.WIDGETS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, widget_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await service.delete_widget(uow, actor, widget_id)
    return page.redirect("/widgets", notice="The widget is deleted; pages that carry it say so.")


ROUTES = [list_widgets, new, create, edit, change, remove]
