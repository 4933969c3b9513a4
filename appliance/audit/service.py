"""Use cases of the audit log."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.dialects.postgresql import insert

from appliance.access.domain import Actor, Right
from appliance.audit.domain import (
    BOX_CHAIN,
    GENESIS,
    ChainCheck,
    Entry,
    Flaw,
    Head,
    entry_hash,
    storable_text,
    without_secrets,
)
from appliance.audit.signing import HeadSigner, SignatureCheck
from appliance.audit.tables import AuditEntry, AuditHead, AuditSignature
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound

MAX_PAGE = 200
_BATCH = 1000


@dataclass(frozen=True)
class Filter:
    """Which entries; an empty field asks for nothing. `action` is a prefix."""

    action: str = ""
    actor: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Verification:
    """What `verify` found: how many entries, the head, and the first flaw, if any.

    `signed` counts the signed heads, `signed_to` is the entry of the newest (0: none), `signed_at` its time.
    """

    entries: int
    head_hash: str
    flaw: Flaw | None
    signed: int = 0
    signed_to: int = 0
    signed_at: datetime | None = None

    @property
    def whole(self) -> bool:
        return self.flaw is None


async def record(
    uow: UnitOfWork, actor: Actor, action: str, subject: str, *, before: Any = None, after: Any = None
) -> Entry:
    """Appends to the chain of the unit of work's organization (of the box, when it has none).

    It is part of the caller's transaction: what was not committed was not done. Writers
    of one chain wait for each other from here to the end of the transaction, so record last.

    Args:
        action: `<feature>.<verb>`, such as `agents.publish`.
        subject: `<kind>:<id>`, such as `agent:0197...`.
        before, after: what changed, JSON-able (UUIDs, times and enumerations are written as text). Values
            whose name speaks of a secret are removed.
    """
    chain = uow.organization_id or BOX_CHAIN
    session = uow.session
    await session.execute(
        insert(AuditHead).values(chain=chain, sequence=0, hash=GENESIS).on_conflict_do_nothing()
    )
    head = (
        await session.execute(
            select(AuditHead)
            .where(AuditHead.chain == chain)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).scalar_one()
    row = AuditEntry(
        chain=chain,
        sequence=head.sequence + 1,
        at=datetime.now(UTC),
        actor_kind=str(actor.kind),
        actor_id=storable_text(actor.id),
        actor_name=storable_text(actor.name),
        address=actor.address,
        action=action,
        subject=storable_text(subject),
        before=_plain(before),
        after=_plain(after),
        previous_hash=head.hash,
    )
    row.hash = entry_hash(head.hash, _entry(row, pending_hash="").content)
    session.add(row)
    head.sequence, head.hash = row.sequence, row.hash
    await session.flush()
    return _entry(row)


async def find(
    uow: UnitOfWork, actor: Actor, wanted: Filter, *, before_sequence: int | None = None, limit: int = 50
) -> list[Entry]:
    """The newest entries first; `before_sequence` goes on where a page ended. Needs audit:read (box:read)."""
    _must_read(uow, actor)
    statement = _filtered(uow, wanted).order_by(AuditEntry.sequence.desc()).limit(min(limit, MAX_PAGE))
    if before_sequence is not None:
        statement = statement.where(AuditEntry.sequence < before_sequence)
    return [_entry(row) for row in await uow.session.scalars(statement)]


async def one(uow: UnitOfWork, actor: Actor, sequence: int) -> Entry:
    """One entry by its number. NotFound when there is none."""
    _must_read(uow, actor)
    row = await uow.session.scalar(_filtered(uow, Filter()).where(AuditEntry.sequence == sequence))
    if row is None:
        raise NotFound("There is no such entry.")
    return _entry(row)


async def export(uow: UnitOfWork, actor: Actor, wanted: Filter) -> AsyncGenerator[Entry]:
    """All that fit, oldest first, in pieces. The export itself is recorded before the first entry leaves.

    Needs audit:export (box:read for the box's chain).
    """
    _must_read(uow, actor, Right.AUDIT_EXPORT)
    asked = {key: value for key, value in vars(wanted).items() if value}
    await record(uow, actor, "audit.export", "audit:log", after=asked)
    await uow.commit()
    last = 0
    while True:
        rows = (
            await uow.session.scalars(
                _filtered(uow, wanted)
                .where(AuditEntry.sequence > last)
                .order_by(AuditEntry.sequence)
                .limit(_BATCH)
            )
        ).all()
        for row in rows:
            yield _entry(row)
        if len(rows) < _BATCH:
            return
        last = rows[-1].sequence
        uow.session.expunge_all()


async def verify(uow: UnitOfWork, actor: Actor, signer: HeadSigner | None = None) -> Verification:
    """Follows the whole chain: finds edits, gaps, a cut tail, and entries that are not the signed ones.

    Without `signer` the signatures themselves are not checked, only what they say. Needs audit:read
    (box:read).
    """
    _must_read(uow, actor)
    chain = uow.organization_id or BOX_CHAIN
    check = ChainCheck(chain)
    # The head first, and no further than it: entries that are written meanwhile are not missing.
    found = await uow.session.get(AuditHead, chain, populate_existing=True)
    head = Head(found.sequence, found.hash) if found is not None else Head(0, GENESIS)
    signatures = await uow.session.scalars(
        select(AuditSignature)
        .where(AuditSignature.chain == chain, AuditSignature.sequence <= head.sequence)
        .order_by(AuditSignature.sequence)
    )
    signed = SignatureCheck(list(signatures), signer)
    last = 0
    while True:
        rows = (
            await uow.session.scalars(
                _filtered(uow, Filter())
                .where(AuditEntry.sequence > last, AuditEntry.sequence <= head.sequence)
                .order_by(AuditEntry.sequence)
                .limit(_BATCH)
            )
        ).all()
        check.feed(_entry(row) for row in rows)
        for row in rows:
            signed.feed(row.sequence, row.hash)
        if len(rows) < _BATCH:
            break
        last = rows[-1].sequence
        uow.session.expunge_all()
    newest = signed.newest
    return Verification(
        check.count,
        head.hash,
        check.flaw(head) or signed.flaw,
        signed.signed,
        newest.sequence if newest is not None else 0,
        newest.signed_at if newest is not None else None,
    )


def _must_read(uow: UnitOfWork, actor: Actor, right: Right = Right.AUDIT_READ) -> None:
    actor.must(Right.BOX_READ if uow.organization_id is None else right)


def _filtered(uow: UnitOfWork, wanted: Filter) -> Select[AuditEntry]:
    statement = select(AuditEntry).where(AuditEntry.chain == (uow.organization_id or BOX_CHAIN))
    if wanted.action:
        statement = statement.where(AuditEntry.action.startswith(wanted.action, autoescape=True))
    if wanted.actor:
        pattern = AuditEntry.actor_name.icontains(wanted.actor, autoescape=True)
        statement = statement.where(or_(AuditEntry.actor_id == wanted.actor, pattern))
    if wanted.subject:
        statement = statement.where(AuditEntry.subject.startswith(wanted.subject, autoescape=True))
    if wanted.since is not None:
        statement = statement.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(AuditEntry.at < wanted.until)
    return statement


def _plain(value: Any) -> Any:
    """As JSON will give it back, without secrets."""
    if value is None:
        return None
    return json.loads(json.dumps(without_secrets(value), default=_text, allow_nan=False))


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value)


def _entry(row: AuditEntry, *, pending_hash: str | None = None) -> Entry:
    return Entry(
        chain=row.chain,
        sequence=row.sequence,
        at=row.at,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        address=row.address,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
        previous_hash=row.previous_hash,
        hash=row.hash if pending_hash is None else pending_hash,
    )
