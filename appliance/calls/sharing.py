"""Links that show one call to who has them: with an end, revocable, and each opening counted.

The token is `<organization>.<link>.<secret>`; of the secret only the hash is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, ActorKind, Right
from appliance.audit.service import record
from appliance.calls import tables
from appliance.calls.archive import call_detail
from appliance.calls.archive_domain import CallDetail, NewLink, ShownLink
from appliance.calls.archive_tables import ShareLink
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput, NotFound

LONGEST = timedelta(days=90)
_GONE = "This link is not valid, or not any more."


@dataclass(frozen=True)
class ShareToken:
    organization_id: UUID
    link_id: UUID
    secret: str

    @classmethod
    def parse(cls, token: str) -> ShareToken:
        """NotFound for what is no token: a wrong link and an old one are told alike."""
        try:
            organization, link, secret = token.split(".")
            return cls(UUID(hex=organization), UUID(hex=link), secret)
        except ValueError as error:
            raise NotFound(_GONE) from error

    def __str__(self) -> str:
        return f"{self.organization_id.hex}.{self.link_id.hex}.{self.secret}"


async def create_link(
    uow: UnitOfWork, actor: Actor, call_id: UUID, *, expires_at: datetime, with_recording: bool, now: datetime
) -> NewLink:
    """A link to a call. Nobody shares what they may not see themselves."""
    actor.must(Right.CALLS_WRITE)
    actor.must(Right.TRANSCRIPTS_READ)
    if with_recording:
        actor.must(Right.RECORDINGS_PLAY)
    if not now < expires_at <= now + LONGEST:
        raise InvalidInput("A link must end within 90 days from now.", field="expires_at")
    call = await uow.session.get(tables.Call, call_id)
    if call is None:
        raise NotFound("The call does not exist.")
    token = ShareToken(call.organization_id, uuid7(), secrets.token_urlsafe(24))
    row = ShareLink(
        id=token.link_id,
        organization_id=call.organization_id,
        call_id=call_id,
        secret_hash=_hash(token.secret),
        with_recording=with_recording,
        created_by=actor.name,
        expires_at=expires_at,
    )
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    await record(
        uow,
        actor,
        "calls.shared",
        f"call:{call_id}",
        after={"link_id": row.id, "expires_at": expires_at, "with_recording": with_recording},
    )
    return NewLink(link=_shown(row), token=str(token))


async def links_of(uow: UnitOfWork, actor: Actor, call_id: UUID) -> list[ShownLink]:
    """The links to a call, the newest first."""
    actor.must(Right.CALLS_READ)
    if await uow.session.get(tables.Call, call_id) is None:
        raise NotFound("The call does not exist.")
    rows = await uow.session.scalars(
        select(ShareLink).where(ShareLink.call_id == call_id).order_by(ShareLink.created_at.desc()).limit(200)
    )
    return [_shown(row) for row in rows]


async def revoke_link(uow: UnitOfWork, actor: Actor, link_id: UUID, now: datetime) -> ShownLink:
    """The link opens nothing from now on."""
    actor.must(Right.CALLS_WRITE)
    row = await row_to_change(uow, ShareLink, link_id, "The link does not exist.")
    if row.revoked_at is None:
        row.revoked_at = now
        await record(uow, actor, "calls.share_revoked", f"call:{row.call_id}", after={"link_id": link_id})
    return _shown(row)


@dataclass(frozen=True)
class Opened:
    """What a link shows; `actor` is the bearer of the link, for the audit entry of a playback."""

    call: CallDetail
    with_recording: bool
    actor: Actor


async def open_link(uow: UnitOfWork, token: ShareToken, *, address: str | None, now: datetime) -> Opened:
    """The call behind a link; NotFound when it is wrong, expired or revoked. The opening is audited."""
    row = await uow.session.scalar(select(ShareLink).where(ShareLink.id == token.link_id).with_for_update())
    if (
        row is None
        or not hmac.compare_digest(row.secret_hash, _hash(token.secret))
        or row.revoked_at is not None
        or row.expires_at <= now
    ):
        raise NotFound(_GONE)
    row.opened += 1
    row.last_opened_at = now
    rights = {Right.RECORDINGS_PLAY} if row.with_recording else set[Right]()
    actor = Actor(
        ActorKind.SYSTEM,
        f"link:{row.id}",
        f"link by {row.created_by}",
        row.organization_id,
        frozenset(rights),
        address,
    )
    shown = await call_detail(uow, row.call_id, with_words=True)
    await record(uow, actor, "calls.share_opened", f"call:{row.call_id}", after={"link_id": row.id})
    return Opened(shown, row.with_recording, actor)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _shown(row: ShareLink) -> ShownLink:
    return ShownLink(
        id=row.id,
        call_id=row.call_id,
        with_recording=row.with_recording,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        opened=row.opened,
        last_opened_at=row.last_opened_at,
    )
