"""What people need to find a call again: its searchable summary, kept filters, links to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, same_organization


class CallSummary(OfOrganization, Base):
    """The words and the latencies of a finished call: one row to search instead of twenty segments."""

    __tablename__ = "call_summaries"

    call_id: Mapped[UUID] = mapped_column(unique=True)
    call_created_at: Mapped[datetime]
    """The call's own time, by which the list is sorted."""
    words: Mapped[Any] = mapped_column(TSVECTOR)
    turns: Mapped[int]
    latency_p50_ms: Mapped[float | None]
    latency_p95_ms: Mapped[float | None]
    """Of the turns' `first_audio_out`; None when no turn was answered."""

    __table_args__ = (
        same_organization("call_id", "calls"),
        Index(
            "ix_call_summaries_latency",
            "organization_id",
            "latency_p95_ms",
            postgresql_include=["call_created_at", "call_id"],
        ),
        Index(
            "ix_call_summaries_words",
            "organization_id",
            text("date_trunc('month', (call_created_at AT TIME ZONE 'UTC'))"),
            text("((call_created_at AT TIME ZONE 'UTC')::date)"),
            "words",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        Index(
            "ix_call_summaries_newest",
            "organization_id",
            text("call_created_at DESC"),
            text("call_id DESC"),
            postgresql_include=["latency_p95_ms"],
        ),
    )


class SavedFilter(OfOrganization, Base):
    """A search of calls under a name; seen by who made it, or by all members when it is shared."""

    __tablename__ = "saved_filters"

    name: Mapped[str]
    owner: Mapped[str]
    """The actor's id."""
    shared: Mapped[bool] = mapped_column(server_default="false")
    filter: Mapped[dict[str, Any]]

    __table_args__ = (Index("uq_saved_filters_owner_name", "organization_id", "owner", "name", unique=True),)


class ShareLink(OfOrganization, Base):
    """Who has the link sees one call, until it expires or is revoked. The secret itself is not kept."""

    __tablename__ = "share_links"

    call_id: Mapped[UUID] = mapped_column(index=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    with_recording: Mapped[bool] = mapped_column(server_default="false")
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    opened: Mapped[int] = mapped_column(server_default="0")
    last_opened_at: Mapped[datetime | None]

    __table_args__ = (same_organization("call_id", "calls"),)
