"""Numbers: the list, a new one, and each one's settings."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.database.revision import CHANGED, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, TrunklineError
from appliance.telephony import lines
from appliance.telephony.lines_domain import NumberInput, ShownNumber
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, sentences
from console.web.page import Page
from console.web.work import Work

NAVIGATION = [NavigationEntry("Numbers", "/numbers", Right.NUMBERS_READ, order=40, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
FIELDS = ("number", "agent_id", "trunk_id", "max_calls", "overflow", "closed_action")
CLOSED = {
    "answer": "Answer as always",
    "refuse": "Say busy (486)",
    "overflow": "Send it to the overflow (302)",
}


def _read(data: Form) -> tuple[NumberInput | None, dict[str, str], dict[str, str]]:
    """The number that was typed, or None; the values as typed; what is wrong."""
    values = {name: data.get(name, "").replace("\x00", "").strip() for name in FIELDS}
    given = {name: value for name, value in values.items() if value}
    try:
        return NumberInput.model_validate(given), values, {}
    except ValidationError as error:
        return None, values, sentences(error)


async def _choices(uow: UnitOfWork, actor: Actor) -> dict[str, Any]:
    agents = (await editing.list_agents(uow, actor, limit=200)).items
    trunks = (await lines.list_trunks(uow, actor, limit=200)).items
    return {
        "agents": [
            (str(each.id), each.name if each.published_version else f"{each.name} (not published)")
            for each in agents
        ],
        "trunks": [("", "Any trunk"), *((str(each.id), each.name) for each in trunks)],
    }


@get("/numbers", right=Right.NUMBERS_READ)
async def list_numbers(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    return await _list(page, work, actor, cursor=request.query_params.get("cursor") or None)


async def _list(
    page: Page,
    work: Work,
    actor: Actor,
    *,
    cursor: str | None = None,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Response[str]:
    async with work.tenant() as uow:
        found = await lines.list_numbers(uow, actor, cursor=cursor)
        choices = await _choices(uow, actor)
    return page.render(
        "numbers/list.html",
        status_code=422 if errors else 200,
        numbers=found.items,
        first="/numbers" if cursor else "",
        next=f"/numbers?cursor={found.next_cursor}" if found.next_cursor else "",
        values=values or dict.fromkeys(FIELDS, "") | {"closed_action": "answer"},
        errors=errors or {},
        closed=CLOSED,
        **choices,
    )


@post("/numbers", right=Right.NUMBERS_WRITE)
async def create(page: Page, work: Work, actor: Actor, data: Form) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                number = await lines.create_number(uow, actor, wanted)
        except TrunklineError as error:
            if not isinstance(error, Conflict) and error.code != "not_found":
                raise
            errors = _beside(error)
        else:
            return page.redirect("/numbers", notice=_told(number))
    return await _list(page, work, actor, values=values, errors=errors)


def _beside(error: TrunklineError) -> dict[str, str]:
    field = {"number_taken": "number", "agent_archived": "agent_id", "not_found": "agent_id"}
    return {field.get(error.code, WHOLE): str(error)}


def _told(number: ShownNumber) -> str:
    if not number.answered:
        return f"{number.number} leads to {number.agent_name}. Publish that agent to let it answer."
    return f"{number.number} is answered by {number.agent_name}."


@get("/numbers/{number_id:uuid}", right=Right.NUMBERS_READ)
async def edit(page: Page, work: Work, actor: Actor, number_id: UUID) -> Response[str]:
    return await _editor(page, work, actor, number_id)


async def _editor(
    page: Page,
    work: Work,
    actor: Actor,
    number_id: UUID,
    *,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Response[str]:
    async with work.tenant() as uow:
        number = await lines.get_number(uow, actor, number_id)
        choices = await _choices(uow, actor)
    known = {name: "" if (value := getattr(number, name)) is None else str(value) for name in FIELDS}
    return page.render(
        "numbers/edit.html",
        status_code=422 if errors else 200,
        number=number,
        revision=revision_of(number),
        values=values or known,
        errors=errors or {},
        closed=CLOSED,
        **choices,
    )


@post("/numbers/{number_id:uuid}", right=Right.NUMBERS_WRITE)
async def change(
    page: Page, work: Work, actor: Actor, number_id: UUID, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                number = await lines.change_number(
                    uow, actor, number_id, wanted, revision=data.get("revision") or None
                )
        except Conflict as error:
            errors = {WHOLE: str(error)} if error.code == CHANGED else _beside(error)
        else:
            return page.redirect("/numbers", notice=_told(number))
    return await _editor(page, work, actor, number_id, values=values, errors=errors)


@post("/numbers/{number_id:uuid}/delete", right=Right.NUMBERS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, number_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        number = await lines.get_number(uow, actor, number_id)
        await lines.delete_number(uow, actor, number_id)
    return page.redirect("/numbers", notice=f"{number.number} is not answered here any more. Its calls stay.")


ROUTES = [list_numbers, create, edit, change, remove]
