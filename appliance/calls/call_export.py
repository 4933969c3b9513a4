"""The list of calls as CSV, a piece at a time, however long it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncGenerator, Callable

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.calls.archive import search
from appliance.calls.archive_domain import CallFilter, CallLine
from appliance.database.paging import MAX_LIMIT
from appliance.database.unit_of_work import UnitOfWork

COLUMNS = (
    "id",
    "created_at",
    "direction",
    "caller",
    "called",
    "agent_name",
    "agent_version",
    "status",
    "outcome",
    "answered_at",
    "ended_at",
    "seconds",
    "turns",
    "latency_p50_ms",
    "latency_p95_ms",
)
_FORMULA = re.compile(r"^[=@+\-\t\r]")
_NUMBER = re.compile(r"^[+-]?[0-9][0-9.]*$")


async def begin_export(uow: UnitOfWork, actor: Actor, wanted: CallFilter) -> None:
    """Checks the right and writes the audit entry; `csv_pieces` then gives the content."""
    actor.must(Right.CALLS_EXPORT)
    await record(
        uow, actor, "calls.exported", "calls:all", after=wanted.model_dump(mode="json", exclude_defaults=True)
    )


async def csv_pieces(
    work: Callable[[], UnitOfWork], actor: Actor, wanted: CallFilter
) -> AsyncGenerator[bytes]:
    """UTF-8 CSV of all calls of the filter, each piece in a transaction of its own."""
    actor.must(Right.CALLS_EXPORT)
    yield _csv([COLUMNS])
    cursor: str | None = None
    while True:
        async with work() as uow:
            found = await search(uow, actor, wanted, cursor, MAX_LIMIT)
        if found.items:
            yield _csv([_cells(line) for line in found.items])
        cursor = found.next_cursor
        if cursor is None:
            return


def _cells(line: CallLine) -> tuple[str, ...]:
    values = line.model_dump(mode="json")
    return tuple("" if values[name] is None else safe_cell(str(values[name])) for name in COLUMNS)


def safe_cell(value: str) -> str:
    """A value that no spreadsheet takes for a formula; numbers and telephone numbers stay as they are."""
    if _FORMULA.match(value) and not _NUMBER.match(value):
        return "'" + value
    return value


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
