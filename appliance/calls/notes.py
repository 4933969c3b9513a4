"""Notes of a call: what the agent took down for a person (the callback queue), and what members write."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.calls import tables
from appliance.calls.archive_domain import ShownNote
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound


async def notes_of(uow: UnitOfWork, call_id: UUID) -> list[ShownNote]:
    """The notes of a call in their order."""
    note = tables.CallNote
    rows = await uow.session.scalars(
        select(note).where(note.call_id == call_id).order_by(note.created_at, note.id).limit(1000)
    )
    return [shown_note(row) for row in rows]


async def add_note(uow: UnitOfWork, actor: Actor, call_id: UUID, text: str) -> ShownNote:
    """Writes a member's note about a call."""
    actor.must(Right.CALLS_WRITE)
    call = await uow.session.get(tables.Call, call_id)
    if call is None:
        raise NotFound("The call does not exist.")
    row = tables.CallNote(
        id=uuid7(), organization_id=call.organization_id, call_id=call_id, text=text, author=actor.name
    )
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    await record(uow, actor, "calls.note", f"call:{call_id}", after={"note_id": row.id})
    return shown_note(row)


async def callbacks(
    uow: UnitOfWork,
    actor: Actor,
    *,
    done: bool = False,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownNote]:
    """The messages that agents took for a person, the newest first: open ones, or those that are done."""
    actor.must(Right.BOOKINGS_READ)
    note = tables.CallNote
    statement = select(note).where(
        note.author.is_(None), note.done_at.is_not(None) if done else note.done_at.is_(None)
    )
    rows = await uow.session.scalars(newest_first(statement, note.created_at, note.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), shown_note)


async def set_callback_done(
    uow: UnitOfWork, actor: Actor, note_id: UUID, *, done: bool, now: datetime
) -> ShownNote:
    """Marks a message as dealt with, or as open again; the same twice changes nothing."""
    actor.must(Right.BOOKINGS_WRITE)
    note = tables.CallNote
    row = await row_to_change(uow, note, note_id, "The message does not exist.", note.author.is_(None))
    if (row.done_at is not None) != done:
        row.done_at, row.done_by = (now, actor.name) if done else (None, None)
        action = "callbacks.done" if done else "callbacks.reopened"
        await record(uow, actor, action, f"call:{row.call_id}", after={"note_id": note_id})
    return shown_note(row)


def shown_note(row: tables.CallNote) -> ShownNote:
    return ShownNote(
        id=row.id,
        call_id=row.call_id,
        at=row.created_at,
        text=row.text,
        author=row.author,
        done_at=row.done_at,
        done_by=row.done_by,
    )
