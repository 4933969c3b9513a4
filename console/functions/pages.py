"""Functions: the list, each one's settings, and trying it for real."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.clients.outbound_http import OutboundHttp
from appliance.database.revision import CHANGED, revision_of
from appliance.errors import Conflict, InvalidInput
from appliance.tools import functions
from appliance.tools.functions import FunctionCaller
from appliance.tools.functions_domain import FunctionInput, ShownFunction, Tried
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, sentences
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Functions", "/functions", Right.FUNCTIONS_READ, order=55, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
TEXTS = ("name", "description", "method", "url", "auth", "auth_name", "timeout_seconds")
EXAMPLE = {
    "type": "object",
    "properties": {"phone": {"type": "string", "description": "The caller's number"}},
    "required": ["phone"],
}
EMPTY: dict[str, Any] = {
    **dict.fromkeys(TEXTS, ""),
    "method": "POST",
    "auth": "none",
    "timeout_seconds": "3",
    "headers": "",
    "parameters": json.dumps(EXAMPLE, indent=2),
    "enabled": True,
}


def _read(data: Form) -> tuple[FunctionInput | None, dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {name: data.get(name, "").replace("\x00", "").strip() for name in TEXTS}
    values |= {name: data.get(name, "").replace("\r\n", "\n") for name in ("headers", "parameters")}
    values["enabled"] = "enabled" in data
    errors: dict[str, str] = {}
    given: dict[str, Any] = {name: values[name] for name in TEXTS if values[name]}
    given["enabled"] = values["enabled"]
    given["headers"] = _headers(values["headers"], errors)
    try:
        given["parameters"] = json.loads(values["parameters"] or "{}")
    except (ValueError, RecursionError) as error:
        errors["parameters"] = f"This is not JSON: {str(error)[:120]}."
    if data.get("secret"):
        given["secret"] = data["secret"]
    try:
        wanted = FunctionInput.model_validate(given)
    except ValidationError as error:
        errors = sentences(error) | errors
        if "name" in errors and values["name"]:
            errors["name"] = (
                "Use 3 to 48 small letters, digits and _, beginning with a letter, and no name of a tool."
            )
        return None, values, errors
    return (None if errors else wanted), values, errors


def _headers(text: str, errors: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, content = line.partition(":")
        if line.strip() and not colon:
            errors["headers"] = "Write one header a line, such as X-Client: practice."
        elif line.strip():
            found[name.strip()] = content.strip()
    return found


def _values(function: ShownFunction) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: "" if (value := getattr(function, name)) is None else str(value) for name in TEXTS
    }
    return values | {
        "headers": "\n".join(f"{name}: {value}" for name, value in function.headers.items()),
        "parameters": json.dumps(function.parameters, indent=2, ensure_ascii=False),
        "enabled": function.enabled,
    }


@get("/functions", right=Right.FUNCTIONS_READ)
async def list_functions(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await functions.list_functions(uow, actor, cursor=cursor)
    return page.render(
        "functions/list.html",
        functions=found.items,
        first="/functions" if cursor else "",
        next=f"/functions?cursor={found.next_cursor}" if found.next_cursor else "",
    )


@get("/functions/new", right=Right.FUNCTIONS_WRITE)
async def new(page: Page) -> Response[str]:
    return _form(page, None, EMPTY, {})


def _form(
    page: Page,
    function: ShownFunction | None,
    values: dict[str, Any],
    errors: dict[str, str],
    *,
    tried: Tried | None = None,
    arguments: str = "",
    argument_error: str = "",
) -> Response[str]:
    return page.render(
        "functions/edit.html",
        status_code=422 if errors or argument_error else 200,
        function=function,
        revision=revision_of(function) if function else "",
        values=values,
        errors=errors,
        tried=tried,
        arguments=arguments or "{}",
        argument_error=argument_error,
        pretty=_pretty,
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@post("/functions", right=Right.FUNCTIONS_WRITE)
async def create(
    page: Page, work: Work, wiring: Wiring, actor: Actor, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                function = await functions.create_function(uow, actor, wiring.keys, wanted)
        except Conflict as error:
            errors = {"name": str(error)}
        except InvalidInput as error:
            errors = {error.field or WHOLE: str(error)}
        else:
            return page.redirect(
                f"/functions/{function.id}", notice=f"{function.name} is there. Try it below."
            )
    return _form(page, None, values, errors)


@get("/functions/{function_id:uuid}", right=Right.FUNCTIONS_READ)
async def edit(page: Page, work: Work, actor: Actor, function_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        function = await functions.get_function(uow, actor, function_id)
    return _form(page, function, _values(function), {})


@post("/functions/{function_id:uuid}", right=Right.FUNCTIONS_WRITE)
async def change(
    page: Page, work: Work, wiring: Wiring, actor: Actor, function_id: UUID, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        revision = data.get("revision") or None
        try:
            async with work.tenant() as uow:
                await functions.change_function(
                    uow, actor, wiring.keys, function_id, wanted, revision=revision
                )
        except Conflict as error:
            errors = {WHOLE if error.code == CHANGED else "name": str(error)}
        except InvalidInput as error:
            errors = {error.field or WHOLE: str(error)}
        else:
            return page.redirect(
                f"/functions/{function_id}", notice="Saved; agents call it like this from now on."
            )
    async with work.tenant() as uow:
        stored = await functions.get_function(uow, actor, function_id)
    return _form(page, stored, values, errors)


@post("/functions/{function_id:uuid}/try", right=Right.FUNCTIONS_WRITE)
async def try_it(
    page: Page, work: Work, wiring: Wiring, actor: Actor, function_id: UUID, data: Form
) -> Response[str]:
    """Calls it once, as an agent would."""
    text = data.get("arguments", "")
    tried, wrong = None, ""
    async with work.tenant() as uow:
        function = await functions.get_function(uow, actor, function_id)
        try:
            arguments = json.loads(text or "{}")
            if not isinstance(arguments, dict):
                raise ValueError("not an object")
            caller = FunctionCaller(wiring.keys, OutboundHttp.of(wiring.settings.outbound.allowed_networks))
            tried = await functions.try_function(
                uow, actor, caller, function_id, arguments, datetime.now(UTC)
            )
        except (ValueError, RecursionError):
            wrong = 'Write the arguments as a JSON object, such as {"phone": "+4930555010"}.'
        except InvalidInput as error:
            wrong = str(error)
    return _form(page, function, _values(function), {}, tried=tried, arguments=text, argument_error=wrong)


@post("/functions/{function_id:uuid}/delete", right=Right.FUNCTIONS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, function_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        await functions.delete_function(uow, actor, function_id)
    return page.redirect("/functions", notice="The function is deleted; agents that name it go without it.")


ROUTES = [list_functions, new, create, edit, change, try_it, remove]
