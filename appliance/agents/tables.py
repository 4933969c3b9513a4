"""Agents and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Agent(OfOrganization, Base):
    """Someone who answers. Calls go to its published version; none means that it does not answer."""

    __tablename__ = "agents"

    name: Mapped[str]
    published_version_id: Mapped[UUID | None]
    archived_at: Mapped[datetime | None]
    """Out of the way: it answers nothing and may be brought back; its versions stay for the calls of then."""

    __table_args__ = (
        referable(),
        UniqueConstraint("organization_id", "name"),
        ForeignKeyConstraint(
            ["organization_id", "published_version_id"],
            ["agent_versions.organization_id", "agent_versions.id"],
            use_alter=True,
            deferrable=True,
            initially="DEFERRED",
        ),
    )


class AgentVersion(OfOrganization, Base):
    """A snapshot of an agent (`AgentSnapshot`). The app role may not change it once it is written."""

    __tablename__ = "agent_versions"

    agent_id: Mapped[UUID]
    version: Mapped[int]
    snapshot: Mapped[dict[str, Any]]
    published_at: Mapped[datetime | None]
    author: Mapped[str | None]
    """Who published it, as the audit log names them."""
    note: Mapped[str | None]
    """What changed, in the author's words."""

    __table_args__ = (
        referable(),
        UniqueConstraint("agent_id", "version"),
        same_organization("agent_id", "agents"),
    )


class AgentDraft(OfOrganization, Base):
    """What the next version of an agent will be. It may be unfinished: `snapshot` need not be valid yet."""

    __tablename__ = "agent_drafts"

    agent_id: Mapped[UUID] = mapped_column(unique=True)
    snapshot: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    author: Mapped[str | None]

    __table_args__ = (same_organization("agent_id", "agents"),)
