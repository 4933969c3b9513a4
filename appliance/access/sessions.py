"""Use cases of the console's sessions.

A browser holds a random secret, the row its hash. A new secret is made at each login; a row that has ended is
never opened again, also not by a request that was under way.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from appliance.access.domain import Actor, ActorKind, Role, rights_of
from appliance.access.tables import ConsoleSession, UsedToken
from appliance.database.unit_of_work import UnitOfWork

TOUCH_SECONDS = 60
"""How often `last_seen_at` is written at most."""

SECRET_BYTES = 32
KEEP_ENDED_DAYS = 30


@dataclass(frozen=True)
class Limits:
    """How long a session lasts without a request, and at all."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True)
class Member:
    """Who signed in, as the identity provider or the emergency entry says."""

    id: str
    name: str
    email: str | None
    organizations: dict[UUID, frozenset[Role]]
    operator: bool
    kind: ActorKind = ActorKind.MEMBER


@dataclass(frozen=True)
class Session:
    """A live session, as it was read at the beginning of a request."""

    id: UUID
    member: Member
    organization_id: UUID | None
    authenticated_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    identity_session: str | None
    identity_token: bytes | None

    def actor(self, address: str | None) -> Actor:
        """Who acts: with the rights of its roles in the organization that it looks at, and the operator's."""
        roles: set[Role] = set()
        if self.organization_id is not None:
            roles |= self.member.organizations.get(self.organization_id, frozenset())
        if self.member.operator:
            roles.add(Role.OPERATOR)
        return Actor(
            kind=self.member.kind,
            id=self.member.id,
            name=self.member.name,
            organization_id=self.organization_id,
            rights=rights_of(roles),
            address=address,
        )

    def is_fresh(self, now: datetime, within: timedelta) -> bool:
        """Whether the member showed a password so lately that a dangerous act is believed."""
        return now - self.authenticated_at <= within


def read_organizations(claim: object) -> dict[UUID, frozenset[Role]]:
    """The claim `organizations`, `{id: [role, ...]}`; what is not understood gives no right."""
    found: dict[UUID, frozenset[Role]] = {}
    if not isinstance(claim, dict):
        return found
    for key, roles in claim.items():  # pyright: ignore[reportUnknownVariableType]
        try:
            organization_id = UUID(str(key))
        except ValueError:
            continue
        names = {str(role) for role in roles} if isinstance(roles, list) else set[str]()
        known = frozenset(role for role in Role if role is not Role.OPERATOR and role.value in names)
        if known:
            found[organization_id] = known
    return found


async def begin(
    uow: UnitOfWork,
    member: Member,
    limits: Limits,
    *,
    authenticated_at: datetime,
    organization_id: UUID | None = None,
    identity_session: str | None = None,
    identity_token: bytes | None = None,
    address: str | None = None,
) -> tuple[Session, str]:
    """A new session and its secret, which is told to the browser and kept nowhere."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    now = datetime.now(UTC)
    if organization_id not in member.organizations:
        organization_id = min(member.organizations, default=None, key=str)
    row = ConsoleSession(
        secret_hash=_hash(secret),
        kind=str(member.kind),
        member_id=member.id,
        member_name=member.name,
        email=member.email,
        organizations=_written(member.organizations),
        operator=member.operator,
        organization_id=organization_id,
        identity_session=identity_session,
        identity_token=identity_token,
        authenticated_at=authenticated_at,
        last_seen_at=now,
        expires_at=now + limits.absolute,
        address=address,
    )
    uow.session.add(row)
    await uow.session.execute(
        delete(ConsoleSession).where(ConsoleSession.expires_at < now - timedelta(days=KEEP_ENDED_DAYS))
    )
    await uow.session.execute(delete(UsedToken).where(UsedToken.expires_at < now))
    await uow.session.flush()
    return _session(row), secret


async def find(uow: UnitOfWork, secret: str, limits: Limits) -> Session | None:
    """The live session of a secret, whose use is noted; None when it never was, has ended or is too old."""
    now = datetime.now(UTC)
    row = await uow.session.scalar(
        select(ConsoleSession).where(
            ConsoleSession.secret_hash == _hash(secret),
            ConsoleSession.ended_at.is_(None),
            ConsoleSession.expires_at > now,
            ConsoleSession.last_seen_at > now - limits.idle,
        )
    )
    if row is None:
        return None
    if now - row.last_seen_at > timedelta(seconds=TOUCH_SECONDS):
        # Only a live row is touched: a session that ended meanwhile stays ended.
        await uow.session.execute(
            update(ConsoleSession)
            .where(ConsoleSession.id == row.id, ConsoleSession.ended_at.is_(None))
            .values(last_seen_at=now)
        )
    return _session(row)


async def end(uow: UnitOfWork, session_id: UUID, by: str) -> None:
    await _end(uow, ConsoleSession.id == session_id, by)


async def end_of_identity_session(uow: UnitOfWork, identity_session: str, by: str) -> int:
    """Ends what a session of the identity provider had begun; how many that were."""
    return await _end(uow, ConsoleSession.identity_session == identity_session, by)


async def end_of_member(uow: UnitOfWork, member_id: str, by: str) -> int:
    """Ends all sessions of a member; how many that were."""
    return await _end(uow, ConsoleSession.member_id == member_id, by)


async def change_member(
    uow: UnitOfWork, member_id: str, organization_id: UUID, roles: frozenset[Role]
) -> None:
    """Live sessions of the member get these roles of the organization at once (none: it is left)."""
    rows = await uow.session.scalars(
        select(ConsoleSession)
        .where(ConsoleSession.member_id == member_id, ConsoleSession.ended_at.is_(None))
        .with_for_update()
    )
    for row in rows:
        organizations = read_organizations(row.organizations)
        organizations.pop(organization_id, None)
        if roles:
            organizations[organization_id] = roles
        row.organizations = _written(organizations)
        if row.organization_id not in organizations:
            row.organization_id = min(organizations, default=None, key=str)
    await uow.session.flush()


async def switch(uow: UnitOfWork, session: Session, organization_id: UUID) -> bool:
    """Looks at another organization of the member's from now on; False when it is not one of them."""
    if organization_id not in session.member.organizations:
        return False
    await uow.session.execute(
        update(ConsoleSession)
        .where(ConsoleSession.id == session.id, ConsoleSession.ended_at.is_(None))
        .values(organization_id=organization_id)
    )
    return True


async def use_once(uow: UnitOfWork, token_id: str, expires_at: datetime) -> bool:
    """True the first time that this token is shown."""
    statement = insert(UsedToken).values(token_id=token_id, expires_at=expires_at)
    done = await uow.session.execute(statement.on_conflict_do_nothing().returning(UsedToken.token_id))
    return done.scalar() is not None


async def _end(uow: UnitOfWork, which: ColumnElement[bool], by: str) -> int:
    ended = await uow.session.execute(
        update(ConsoleSession)
        .where(which, ConsoleSession.ended_at.is_(None))
        .values(ended_at=datetime.now(UTC), ended_by=by, identity_token=None)
        .returning(ConsoleSession.id)
    )
    return len(ended.all())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _written(organizations: dict[UUID, frozenset[Role]]) -> dict[str, list[str]]:
    return {str(key): sorted(roles) for key, roles in organizations.items()}


def _session(row: ConsoleSession) -> Session:
    return Session(
        id=row.id,
        member=Member(
            id=row.member_id,
            name=row.member_name,
            email=row.email,
            organizations=read_organizations(row.organizations),
            operator=row.operator,
            kind=ActorKind(row.kind),
        ),
        organization_id=row.organization_id,
        authenticated_at=row.authenticated_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        identity_session=row.identity_session,
        identity_token=row.identity_token,
    )
