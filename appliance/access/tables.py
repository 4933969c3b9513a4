"""Sessions of the console: one row a signed-in browser."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, Identified


class ConsoleSession(Identified, Base):
    """A browser that is signed in. Of its secret only the hash is here; an ended row is never used again.

    It belongs to a member, who may belong to several organizations, and not to a tenant: it has no row-level
    security, and is read by the secret's hash alone.
    """

    __tablename__ = "console_sessions"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    kind: Mapped[str] = mapped_column(server_default="member")
    """`member`, or `emergency` for the local way in."""
    member_id: Mapped[str]
    """Keycloak's subject."""
    member_name: Mapped[str]
    email: Mapped[str | None]
    organizations: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Organization id -> roles."""
    operator: Mapped[bool] = mapped_column(server_default="false")
    organization_id: Mapped[UUID | None]
    """The organization that is looked at now."""
    identity_session: Mapped[str | None]
    """Keycloak's session (`sid`), which a back-channel logout names."""
    identity_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The ID token, sealed: what Keycloak wants to see at the logout."""
    authenticated_at: Mapped[datetime]
    """When the member last showed a password (`auth_time`)."""
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """The absolute limit."""
    address: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]

    __table_args__ = (
        Index("ix_console_sessions_member_id", "member_id", postgresql_where=text("ended_at IS NULL")),
        Index(
            "ix_console_sessions_identity_session",
            "identity_session",
            postgresql_where=text("ended_at IS NULL"),
        ),
    )


class UsedToken(Base):
    """A one-time token (logout token, emergency address) that was used, until it would have expired."""

    __tablename__ = "console_used_tokens"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]
