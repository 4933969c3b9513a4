"""The audit log: looked through, followed for flaws, exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.params import Parameter
from litestar.response import Stream

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.audit.domain import Entry
from appliance.audit.service import Filter
from appliance.audit.signing import HeadSigner
from appliance.database.unit_of_work import UnitOfWork
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Audit", "/audit", Right.AUDIT_READ, order=80, group="Control")]
PAGE_SIZE = 50

Text = Annotated[str, Parameter(max_length=200)]

_PLACES = {
    "call": ("/calls", Right.CALLS_READ),
    "agent": ("/agents", Right.AGENTS_READ),
    "number": ("/numbers", Right.NUMBERS_READ),
    "trunk": ("/trunks", Right.TRUNKS_READ),
    "function": ("/functions", Right.FUNCTIONS_READ),
    "member": ("/members", Right.MEMBERS_READ),
}
"""The page of a subject's kind, and what one needs to see it."""

_COLUMNS = (
    "sequence",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "action",
    "subject",
    "before",
    "after",
    "previous_hash",
    "hash",
)


def asked(
    timezone: ZoneInfo, action: str, actor: str, subject: str, since: str, until: str
) -> tuple[Filter, dict[str, str]]:
    """The filter that a person typed, and what was typed; a day that is none is left out."""
    typed = {"action": action, "by": actor, "subject": subject, "since": since, "until": until}
    first, last = _day(since), _day(until)
    return (
        Filter(
            action=action.strip(),
            actor=actor.strip(),
            subject=subject.strip(),
            since=datetime.combine(first, time(), timezone).astimezone(UTC) if first else None,
            until=datetime.combine(last + timedelta(days=1), time(), timezone).astimezone(UTC)
            if last
            else None,
        ),
        {key: value for key, value in typed.items() if value},
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@get("/audit", right=Right.AUDIT_READ)
async def entries(
    page: Page,
    work: Work,
    actor: Actor,
    action: Text = "",
    by: Text = "",
    subject: Text = "",
    since: Text = "",
    until: Text = "",
    before: int | None = None,
) -> Response[str]:
    wanted, typed = asked(page.timezone, action, by, subject, since, until)
    async with work.tenant() as uow:
        found = await audit.find(uow, actor, wanted, before_sequence=before, limit=PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    older = f"/audit?{urlencode({**typed, 'before': shown[-1].sequence})}" if len(found) > PAGE_SIZE else ""
    newest = f"/audit?{urlencode(typed)}" if before is not None else ""
    return page.render(
        "audit/list.html",
        entries=shown,
        typed=typed,
        older=older,
        newest=newest,
        export=urlencode(typed),
    )


def place_of(actor: Actor, entry: Entry) -> str:
    """Where the console shows what the entry is about; nothing when the actor may not look there."""
    kind, _, identifier = entry.subject.partition(":")
    if isinstance(entry.after, dict) and kind == "recording":
        after: dict[str, Any] = entry.after  # pyright: ignore[reportUnknownVariableType]
        kind, identifier = "call", str(after.get("call_id", ""))
    path, right = _PLACES.get(kind, ("", Right.AUDIT_READ))
    try:
        return f"{path}/{UUID(identifier)}" if path and actor.may(right) else ""
    except ValueError:
        return ""


@get("/audit/{sequence:int}", right=Right.AUDIT_READ)
async def entry(page: Page, work: Work, actor: Actor, sequence: int) -> Response[str]:
    async with work.tenant() as uow:
        found = await audit.one(uow, actor, sequence)
    return page.render(
        "audit/entry.html",
        entry=found,
        place=place_of(actor, found),
        before=_pretty(found.before),
        after=_pretty(found.after),
    )


@post("/audit/verify", right=Right.AUDIT_READ, status_code=200)
async def verify(page: Page, work: Work, wiring: Wiring, actor: Actor) -> Response[str]:
    signer = HeadSigner.from_settings(wiring.settings.security)
    async with work.tenant() as uow:
        result = await audit.verify(uow, actor, signer)
    return page.render("audit/verified.html", result=result)


@get("/audit/export.csv", right=Right.AUDIT_EXPORT)
async def export_csv(
    page: Page,
    work: Work,
    actor: Actor,
    action: Text = "",
    by: Text = "",
    subject: Text = "",
    since: Text = "",
    until: Text = "",
) -> Stream:
    """All that the filter finds, oldest first; the export is itself in the log."""
    wanted, _ = asked(page.timezone, action, by, subject, since, until)
    return _download(_csv(_entries(work, actor, wanted)), "text/csv; charset=utf-8", "audit.csv")


@get("/audit/export.jsonl", right=Right.AUDIT_EXPORT)
async def export_json(
    page: Page,
    work: Work,
    actor: Actor,
    action: Text = "",
    by: Text = "",
    subject: Text = "",
    since: Text = "",
    until: Text = "",
) -> Stream:
    """One JSON document a line, with what each hash covers: the chain can be followed anywhere."""
    wanted, _ = asked(page.timezone, action, by, subject, since, until)
    return _download(_lines(_entries(work, actor, wanted)), "application/jsonl", "audit.jsonl")


async def _entries(work: Work, actor: Actor, wanted: Filter) -> AsyncGenerator[Entry]:
    uow: UnitOfWork
    async with work.tenant() as uow:
        async for found in audit.export(uow, actor, wanted):
            yield found


async def _csv(found: AsyncGenerator[Entry]) -> AsyncGenerator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    async for one in found:
        text = io.StringIO()
        csv.writer(text).writerow([_cell(getattr(one, column)) for column in _COLUMNS])
        yield text.getvalue()


def _cell(value: Any) -> str:
    """Text for a spreadsheet, which must not take it for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


async def _lines(found: AsyncGenerator[Entry]) -> AsyncGenerator[str]:
    async for one in found:
        whole = {**one.content, "previous_hash": one.previous_hash, "hash": one.hash}
        yield json.dumps(whole, ensure_ascii=False, sort_keys=True) + "\n"


def _download(content: AsyncGenerator[str], kind: str, name: str) -> Stream:
    return Stream(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


ROUTES = [entries, entry, verify, export_csv, export_json]
