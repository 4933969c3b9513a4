"""Calls and what was said and done in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Call(OfOrganization, Base):
    """One call, from admission on. `ended_at` empty means that it takes a place."""

    __tablename__ = "calls"

    agent_version_id: Mapped[UUID | None]
    number_id: Mapped[UUID | None]
    trunk_id: Mapped[UUID | None]
    direction: Mapped[str]
    sip_call_id: Mapped[str | None] = mapped_column(index=True)
    room_name: Mapped[str] = mapped_column(unique=True)
    gateway_channel: Mapped[str | None]
    caller: Mapped[str | None]
    caller_name: Mapped[str | None]
    called: Mapped[str | None]
    status: Mapped[str]
    outcome: Mapped[str | None]
    ended_by: Mapped[str | None]
    last_news_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When the bridge or the worker last told anything; without news for long, the place falls back."""
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    """When the worker's report (`Finish`) arrived."""
    q850_cause: Mapped[int | None]
    sip_status: Mapped[int | None]
    quality: Mapped[dict[str, Any] | None]
    attempt: Mapped[int] = mapped_column(server_default="1")
    test_agent_id: Mapped[UUID | None]
    """Of a test call (`direction` is `test`): the agent whose draft is tried."""
    test_snapshot: Mapped[dict[str, Any] | None]
    """Of a test call: the draft as it was when the call began."""

    __table_args__ = (
        referable(),
        same_organization("test_agent_id", "agents", ondelete="SET NULL (test_agent_id)"),
        same_organization("agent_version_id", "agent_versions", ondelete="SET NULL (agent_version_id)"),
        same_organization("number_id", "numbers", ondelete="SET NULL (number_id)"),
        same_organization("trunk_id", "trunks", ondelete="SET NULL (trunk_id)"),
        CheckConstraint("direction IN ('inbound', 'outbound', 'test', 'web')", name="direction"),
        CheckConstraint("attempt >= 1", name="attempt"),
        Index("ix_calls_in_progress", "organization_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_calls_created_at", "organization_id", "created_at"),
        Index("ix_calls_outcome", "organization_id", "outcome", "created_at", "id"),
        Index("ix_calls_agent_version", "organization_id", "agent_version_id", "created_at"),
        Index(
            "ix_calls_not_inbound",
            "organization_id",
            "direction",
            "created_at",
            "id",
            postgresql_where=text("direction <> 'inbound'"),
        ),
        *(
            Index(
                f"ix_calls_{column}_parts",
                "organization_id",
                text("date_trunc('month', (created_at AT TIME ZONE 'UTC'))"),
                column,
                postgresql_using="gin",
                postgresql_ops={column: "gin_trgm_ops"},
                postgresql_with={"fastupdate": "off"},
            )
            for column in ("caller", "called")
        ),
    )


class CallEvent(OfOrganization, Base):
    """Something that happened to a call: its progress and the steps of its SIP ladder (`kind` is `sip`)."""

    __tablename__ = "call_events"

    call_id: Mapped[UUID]
    at: Mapped[datetime]
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    __table_args__ = (
        same_organization("call_id", "calls"),
        Index("ix_call_events_call_id_at", "call_id", "at"),
    )


class Turn(OfOrganization, Base):
    """What the caller said and the agent answered; `stamps` are ms since the caller's last speech."""

    __tablename__ = "turns"

    call_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(server_default="1")
    index: Mapped[int]
    caller_text: Mapped[str] = mapped_column(server_default="")
    agent_text: Mapped[str] = mapped_column(server_default="")
    started_at: Mapped[datetime | None]
    interrupted: Mapped[bool] = mapped_column(server_default="false")
    stamps: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    tool_calls: Mapped[list[Any]] = mapped_column(server_default="[]")

    __table_args__ = (same_organization("call_id", "calls"), UniqueConstraint("call_id", "attempt", "index"))


class TranscriptSegment(OfOrganization, Base):
    """A stretch of speech of one side; times are milliseconds since the recording of that attempt began."""

    __tablename__ = "transcript_segments"

    call_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(server_default="1")
    index: Mapped[int]
    speaker: Mapped[str]
    starts_ms: Mapped[int]
    ends_ms: Mapped[int]
    text: Mapped[str]
    confidence: Mapped[float | None]

    __table_args__ = (
        same_organization("call_id", "calls"),
        UniqueConstraint("call_id", "attempt", "index"),
        CheckConstraint("speaker IN ('caller', 'agent')", name="speaker"),
        CheckConstraint("starts_ms <= ends_ms", name="order"),
    )


class ToolCall(OfOrganization, Base):
    """A tool that the agent used. The id is the language model's own: a repetition finds the first result."""

    __tablename__ = "tool_calls"

    call_id: Mapped[UUID]
    tool_call_id: Mapped[str]
    action: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    """The whole answer that was given; empty while it runs."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (same_organization("call_id", "calls"), UniqueConstraint("call_id", "tool_call_id"))


class CallNote(OfOrganization, Base):
    """A message that the agent took for a person, or (with an author) what a member wrote about the call."""

    __tablename__ = "call_notes"

    call_id: Mapped[UUID] = mapped_column(index=True)
    text: Mapped[str]
    author: Mapped[str | None]
    """The member who wrote it; none: the agent took it down, and somebody should call back."""
    done_at: Mapped[datetime | None]
    done_by: Mapped[str | None]

    __table_args__ = (same_organization("call_id", "calls"),)
