"""What an organization sets for itself, and the keys of its programs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization


class OrganizationSettings(OfOrganization, Base):
    """The settings as `appliance.organizations.domain.OrganizationSettings` reads them; one row at most."""

    __tablename__ = "organization_settings"

    settings: Mapped[dict[str, Any]]
    quota_announced: Mapped[date | None]
    """The first of the month for which "quota near" was told."""

    __table_args__ = (UniqueConstraint("organization_id"),)


class ApiKey(OfOrganization, Base):
    """A program's key: `tl_<prefix>_<secret>`. Only the hash of the secret is kept."""

    __tablename__ = "api_keys"

    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    requests_per_minute: Mapped[int] = mapped_column(server_default="600")
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(OfOrganization, Base):
    """The answer that a request with an `Idempotency-Key` was given; a repetition gets it again for 24 h."""

    __tablename__ = "idempotency_keys"

    actor: Mapped[str]
    key: Mapped[str]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    """Of method, path and body: the same key for another request is refused."""
    status: Mapped[int | None]
    """None while the first request runs."""
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("organization_id", "actor", "key"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )


class RateWindow(OfOrganization, Base):
    """How many requests an actor has made in one minute."""

    __tablename__ = "rate_windows"

    actor: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(server_default=func.now())
    requests: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = (UniqueConstraint("organization_id", "actor", "starts_at"),)
