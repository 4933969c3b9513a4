"""Widgets, and what is known of each session beside its call."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Widget(OfOrganization, Base):
    """An agent that web sites may carry. The router finds whose it is by `public_id`."""

    __tablename__ = "widgets"

    public_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    agent_id: Mapped[UUID]
    title: Mapped[str]
    origins: Mapped[list[Any]] = mapped_column(server_default="[]")
    voice: Mapped[bool] = mapped_column(server_default="true")
    text: Mapped[bool] = mapped_column(server_default="true")
    demo: Mapped[bool] = mapped_column(server_default="true")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    max_sessions: Mapped[int]
    visitor_sessions_per_hour: Mapped[int]
    address_sessions_per_hour: Mapped[int]
    max_duration_seconds: Mapped[int]

    __table_args__ = (
        referable(),
        same_organization("agent_id", "agents"),
        CheckConstraint("voice OR text", name="one_way"),
    )


class WidgetSession(OfOrganization, Base):
    """A visitor's session; its call has the rest. The digests are forgotten after a day."""

    __tablename__ = "widget_sessions"

    widget_id: Mapped[UUID | None]
    call_id: Mapped[UUID] = mapped_column(unique=True)
    agent_id: Mapped[UUID]
    mode: Mapped[str]
    origin: Mapped[str]
    visitor: Mapped[str | None]
    address: Mapped[str | None]
    ends_by: Mapped[datetime]
    """When its call is over at the latest: a place that nobody gave back falls back then."""

    __table_args__ = (
        same_organization("widget_id", "widgets", ondelete="SET NULL (widget_id)"),
        same_organization("call_id", "calls"),
        CheckConstraint("mode IN ('voice', 'text')", name="mode"),
        Index("ix_widget_sessions_recent", "widget_id", "created_at"),
        Index("ix_widget_sessions_known", "created_at", postgresql_where=text("visitor IS NOT NULL")),
    )
