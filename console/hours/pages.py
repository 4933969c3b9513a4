"""Opening hours and holidays, in the organization's time zone, set as a whole."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.database.revision import revision_of
from appliance.errors import Conflict
from appliance.telephony import lines
from appliance.telephony.lines_domain import HolidayInput, Hours, HoursSpan
from console.web.features import NavigationEntry
from console.web.form_errors import sentences
from console.web.page import Page
from console.web.work import Work

NAVIGATION = [NavigationEntry("Opening hours", "/hours", Right.NUMBERS_READ, order=50, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SPANS_A_DAY = 2
SPARE_HOLIDAYS = 3


def _values(hours: Hours) -> tuple[list[list[tuple[str, str]]], list[tuple[str, str]]]:
    """Of each day the spans as they stand in the form, with empty ones to fill; and the holidays."""
    days: list[list[tuple[str, str]]] = [[] for _ in DAYS]
    for span in hours.spans:
        days[span.weekday].append((f"{span.opens:%H:%M}", f"{span.closes:%H:%M}"))
    for day in days:
        day.extend([("", "")] * max(1, SPANS_A_DAY - len(day)))
    holidays = [(each.date.isoformat(), each.name) for each in hours.holidays]
    return days, holidays + [("", "")] * SPARE_HOLIDAYS


def _typed(data: Form) -> tuple[list[list[tuple[str, str]]], list[tuple[str, str]]]:
    days: list[list[tuple[str, str]]] = []
    for weekday in range(len(DAYS)):
        day: list[tuple[str, str]] = []
        while len(day) < 20 and f"opens.{weekday}.{len(day)}" in data:
            place = f"{weekday}.{len(day)}"
            day.append((data.get(f"opens.{place}", "").strip(), data.get(f"closes.{place}", "").strip()))
        days.append(day + [("", "")] * max(0, SPANS_A_DAY - len(day)))
    holidays: list[tuple[str, str]] = []
    while len(holidays) < 520 and f"date.{len(holidays)}" in data:
        place = len(holidays)
        name = data.get(f"name.{place}", "").replace("\x00", "").strip()
        holidays.append((data.get(f"date.{place}", "").strip(), name))
    return days, holidays


def _read(data: Form) -> tuple[Hours | None, dict[str, str]]:
    """What was typed as hours, or the sentence beside each day and holiday that cannot be meant."""
    days, holidays = _typed(data)
    errors: dict[str, str] = {}
    spans: list[HoursSpan] = []
    for weekday, day in enumerate(days):
        for opens, closes in day:
            if opens or closes:
                try:
                    given: dict[str, Any] = {"weekday": weekday, "opens": opens, "closes": closes}
                    spans.append(HoursSpan.model_validate(given))
                except ValidationError as error:
                    errors[f"day.{weekday}"] = next(iter(sentences(error).values()))
    free: list[HolidayInput] = []
    for place, (date, name) in enumerate(holidays):
        if date or name:
            try:
                free.append(HolidayInput.model_validate({"date": date, "name": name}))
            except ValidationError as error:
                errors[f"holiday.{place}"] = next(iter(sentences(error).values()))
    if errors:
        return None, errors
    try:
        return Hours(spans=tuple(spans), holidays=tuple(free)), {}
    except ValidationError as error:
        return None, {"form": next(iter(sentences(error).values()))}


@get("/hours", right=Right.NUMBERS_READ)
async def show(page: Page, work: Work, actor: Actor) -> Response[str]:
    async with work.tenant() as uow:
        hours = await lines.get_hours(uow, actor)
    days, holidays = _values(hours)
    return _form(page, days, holidays, revision_of(hours), {})


def _form(
    page: Page,
    days: list[list[tuple[str, str]]],
    holidays: list[tuple[str, str]],
    revision: str,
    errors: dict[str, str],
) -> Response[str]:
    return page.render(
        "hours/hours.html",
        status_code=422 if errors else 200,
        days=list(zip(DAYS, days, strict=True)),
        holidays=holidays,
        revision=revision,
        errors=errors,
        zone=page.timezone.key,
    )


@post("/hours", right=Right.NUMBERS_WRITE)
async def save(page: Page, work: Work, actor: Actor, data: Form) -> Response[str] | Redirect:
    wanted, errors = _read(data)
    revision = data.get("revision", "")
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                await lines.set_hours(uow, actor, wanted, revision=revision or None)
        except Conflict as error:
            errors = {"form": f"{error} Your hours below are not saved."}
        else:
            return page.redirect("/hours", notice="The hours are saved; they count from the next call on.")
    return _form(page, *_typed(data), revision, errors)


ROUTES = [show, save]
