"""Where events are sent, what became of each sending, and the paths on which others send to us."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class WebhookEndpoint(OfOrganization, Base):
    """An address that wants to be told. The secret is encrypted, bound to `webhook_endpoints.secret`."""

    __tablename__ = "webhook_endpoints"

    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    previous_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What the last renewal replaced; it signs too until `previous_until`."""
    previous_until: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(server_default="true")

    __table_args__ = (referable(),)


class WebhookDelivery(OfOrganization, Base):
    """One event for one endpoint: the row is the place in the queue, written with what it tells of."""

    __tablename__ = "webhook_deliveries"

    endpoint_id: Mapped[UUID]
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    """The CloudEvent as it is sent."""
    state: Mapped[str] = mapped_column(server_default="waiting")
    tries: Mapped[int] = mapped_column(server_default="0")
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]
    replay_of: Mapped[UUID | None]

    __table_args__ = (
        referable(),
        same_organization("endpoint_id", "webhook_endpoints"),
        CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
        Index("ix_webhook_deliveries_due", "next_try_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_webhook_deliveries_endpoint", "endpoint_id", "created_at"),
    )


class WebhookAttempt(OfOrganization, Base):
    """One try of a delivery, and how it was answered."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[UUID] = mapped_column(index=True)
    status: Mapped[int | None]
    """The HTTP status; None when there was no answer."""
    error: Mapped[str | None]
    duration_ms: Mapped[int]
    answer: Mapped[str | None]
    """The beginning of what was answered."""

    __table_args__ = (same_organization("delivery_id", "webhook_deliveries"),)


class InboundHook(OfOrganization, Base):
    """A path that the organization's programs send to. What shows who sends is kept as its hash, or, where it
    makes signatures, encrypted and bound to `inbound_hooks.secret`."""

    __tablename__ = "inbound_hooks"

    public_id: Mapped[str]
    """The random part of the path."""
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    auth: Mapped[str]
    auth_user: Mapped[str] = mapped_column(server_default="")
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    requests_per_minute: Mapped[int]
    delivery_id: Mapped[str]
    """The expression that finds it."""
    rules: Mapped[list[Any]]

    __table_args__ = (
        referable(),
        UniqueConstraint("public_id"),
        CheckConstraint("auth IN ('signature', 'bearer', 'basic')", name="auth"),
        CheckConstraint("(secret IS NULL) <> (secret_hash IS NULL)", name="one_secret"),
    )


class InboundRequest(OfOrganization, Base):
    """One request to such a path and what became of it. One that waits is the place in the queue of calls."""

    __tablename__ = "inbound_requests"

    hook_id: Mapped[UUID]
    delivery_id: Mapped[str | None]
    """What the sender calls it; None for one that was refused, replayed or not named."""
    address: Mapped[str | None]
    size_bytes: Mapped[int]
    document: Mapped[dict[str, Any]]
    """`{"headers": ..., "body": ...}`; without a body when it was refused."""
    state: Mapped[str]
    rule: Mapped[str | None]
    title: Mapped[str | None]
    detail: Mapped[str | None]
    agent_id: Mapped[UUID | None]
    number_id: Mapped[UUID | None]
    called: Mapped[str | None]
    call_id: Mapped[UUID | None]
    tries: Mapped[int] = mapped_column(server_default="0")
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replay_of: Mapped[UUID | None]

    __table_args__ = (
        same_organization("hook_id", "inbound_hooks"),
        UniqueConstraint("organization_id", "hook_id", "delivery_id"),
        CheckConstraint(
            "state IN ('waiting', 'calling', 'called', 'filed', 'unmatched', 'failed', 'refused')",
            name="state",
        ),
        Index("ix_inbound_requests_hook", "hook_id", "created_at"),
        Index(
            "ix_inbound_requests_due",
            "next_try_at",
            postgresql_where=text("state IN ('waiting', 'calling')"),
        ),
    )
