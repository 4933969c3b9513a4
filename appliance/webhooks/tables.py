"""Where events are sent, and what became of each sending."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, func, text
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

    __table_args__ = (same_organization("delivery_id", "webhook_deliveries"),)
