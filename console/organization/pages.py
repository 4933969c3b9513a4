"""The organization: what it sets for itself, what it used, and the keys of its programs."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.database.revision import revision_of
from appliance.errors import Conflict, InvalidInput
from appliance.organizations import api_keys, settings_service
from appliance.organizations.domain import KeyInput, NewKey, OrganizationInput, ShownOrganization
from appliance.usage.service import usage_of_month
from console.organization.branding import style_sheet
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, sentences
from console.web.page import Page
from console.web.work import Work

NAVIGATION = [
    NavigationEntry("Organization", "/organization", Right.ORGANIZATION_READ, order=70, group="Control")
]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
REDACTIONS = {
    "card_numbers": "Card numbers",
    "long_digits": "Long runs of digits",
    "email_addresses": "E-mail addresses",
}
_PATHS = {
    "branding.display_name": "text",
    "branding.accent": "text",
    "consent.text": "text",
    "retention.recordings_days": "int",
    "retention.calls_days": "int",
    "quota.minutes_per_month": "int",
    "quota.warn_at_percent": "int",
}
_PLAIN = ("name", "timezone", "language")
_BOX_SCOPES = frozenset({Right.BOX_READ, Right.BOX_WRITE})


def _values(organization: ShownOrganization) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(organization, name) for name in _PLAIN}
    for path in _PATHS:
        group, name = path.split(".")
        value = getattr(getattr(organization, group), name)
        values[path] = "" if value is None else str(value)
    return values | {"redaction.kinds": tuple(organization.redaction.kinds)}


def _read(data: Form) -> tuple[OrganizationInput | None, dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {
        name: data.get(name, "").replace("\x00", "").replace("\r\n", "\n").strip()
        for name in (*_PLAIN, *_PATHS)
    }
    values["branding.accent"] = values["branding.accent"].lower()
    values["redaction.kinds"] = tuple(kind for kind in REDACTIONS if f"redaction.{kind}" in data)
    given: dict[str, Any] = {name: values[name] for name in _PLAIN}
    given["redaction"] = {"kinds": values["redaction.kinds"]}
    for path, kind in _PATHS.items():
        group, name = path.split(".")
        if values[path] or (kind == "text" and path != "branding.accent"):
            given.setdefault(group, {})[name] = values[path]
    try:
        return OrganizationInput.model_validate(given), values, {}
    except ValidationError as error:
        errors: dict[str, str] = {}
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            path = ".".join(str(part) for part in each["loc"][:2]) or WHOLE
            errors.setdefault(path, _words(path, each["type"], each["msg"]))
        return None, values, errors


def _words(path: str, kind: str, message: str) -> str:
    known = {
        "timezone": "Choose a time zone of the list, such as Europe/Berlin.",
        "language": "Give a language of two or three letters, such as en.",
        "name": "Give a name of 1 to 120 letters.",
        "branding.accent": "Give a colour as # and six digits of 0-9 and a-f, such as #0b6e4f.",
    }
    if kind == "int_parsing":
        return "Give a whole number."
    return known.get(path) or message.replace("Input should", "This should") + "."


@get("/organization", right=Right.ORGANIZATION_READ)
async def show(page: Page, work: Work, actor: Actor) -> Response[str]:
    async with work.tenant() as uow:
        organization = await settings_service.get_organization(uow, actor)
    return _form(page, organization, _values(organization), {})


def _form(
    page: Page, organization: ShownOrganization, values: dict[str, Any], errors: dict[str, str]
) -> Response[str]:
    return page.render(
        "organization/settings.html",
        status_code=422 if errors else 200,
        shown=organization,
        revision=revision_of(organization),
        values=values,
        errors=errors,
        zones=sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")),
        redactions=REDACTIONS,
        tab="settings",
    )


@post("/organization", right=Right.ORGANIZATION_WRITE)
async def save(page: Page, work: Work, actor: Actor, data: Form) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                await settings_service.change_organization(
                    uow, actor, wanted, revision=data.get("revision") or None
                )
        except Conflict as error:
            errors = {WHOLE: str(error)}
        else:
            return page.redirect("/organization", notice="The settings are saved.")
    async with work.tenant() as uow:
        organization = await settings_service.get_organization(uow, actor)
    return _form(page, organization, values, errors)


@get("/organization/usage", right=Right.ORGANIZATION_READ)
async def usage(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    typed = request.query_params.get("month", "")
    try:
        month = date.fromisoformat(f"{typed}-01") if typed else None
    except ValueError:
        month = None
    async with work.tenant() as uow:
        used = await usage_of_month(uow, actor, month, datetime.now(UTC))
    before = used.month - timedelta(days=1)
    after = (used.month + timedelta(days=32)).replace(day=1)
    most = max((day.minutes for day in used.days), default=0.0)
    bars = [(day, round(100 * day.minutes / most, 1) if most else 0.0) for day in used.days]
    return page.render(
        "organization/usage.html",
        used=used,
        bars=bars,
        before=f"{before:%Y-%m}" if before.year > 2000 else "",
        after=f"{after:%Y-%m}" if after <= datetime.now(page.timezone).date() else "",
        tab="usage",
    )


@get("/organization/keys", right=Right.KEYS_READ)
async def keys(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    return await _keys(page, work, actor, cursor=request.query_params.get("cursor") or None)


async def _keys(
    page: Page,
    work: Work,
    actor: Actor,
    *,
    cursor: str | None = None,
    made: NewKey | None = None,
    data: Form | None = None,
    errors: dict[str, str] | None = None,
) -> Response[str]:
    async with work.tenant() as uow:
        found = await api_keys.list_keys(uow, actor, cursor=cursor)
    return page.render(
        "organization/keys.html",
        status_code=422 if errors else 200,
        keys=found.items,
        first="/organization/keys" if cursor else "",
        next=f"/organization/keys?cursor={found.next_cursor}" if found.next_cursor else "",
        made=made,
        scopes=[right for right in Right if right not in _BOX_SCOPES and actor.may(right)],
        values=data or {"requests_per_minute": "600"},
        errors=errors or {},
        now=datetime.now(UTC),
        tab="keys",
    )


@post("/organization/keys", right=Right.KEYS_WRITE, fresh=True)
async def create_key(page: Page, work: Work, actor: Actor, data: Form) -> Response[str]:
    """Made, and its secret shown this once."""
    given: dict[str, Any] = {
        "name": data.get("name", "").replace("\x00", "").strip(),
        "scopes": tuple(right.value for right in Right if f"scope.{right.value}" in data),
        "requests_per_minute": data.get("requests_per_minute", "").strip() or 600,
    }
    errors: dict[str, str] = {}
    made: NewKey | None = None
    try:
        if data.get("expires"):
            last = date.fromisoformat(data["expires"]) + timedelta(days=1)
            given["expires_at"] = datetime.combine(last, time(0), page.timezone)
        wanted = KeyInput.model_validate(given)
        async with work.tenant() as uow:
            made = await api_keys.create_key(uow, actor, wanted, datetime.now(UTC))
    except ValidationError as error:
        errors = sentences(error)
        if "scopes" in errors:
            errors["scopes"] = "Choose at least one thing that the key may do."
    except InvalidInput as error:
        errors = {"expires": error.message}
    except (ValueError, OverflowError):
        errors = {"expires": "Give a day as year-month-day."}
    return await _keys(page, work, actor, made=made, data=data if errors else None, errors=errors)


@post("/organization/keys/{key_id:uuid}/revoke", right=Right.KEYS_WRITE)
async def revoke_key(page: Page, work: Work, actor: Actor, key_id: UUID) -> Redirect:
    async with work.tenant() as uow:
        key = await api_keys.revoke_key(uow, actor, key_id, datetime.now(UTC))
    return page.redirect("/organization/keys", notice=f"“{key.name}” is refused from now on.")


ROUTES = [show, save, usage, keys, create_key, revoke_key, style_sheet]
