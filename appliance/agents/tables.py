"""Agents and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Agent(OfOrganization, Base):
    """Someone who answers. Calls go to its published version; none means that it does not answer."""

    __tablename__ = "agents"

    name: Mapped[str]
    published_version_id: Mapped[UUID | None]

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

    __table_args__ = (
        referable(),
        UniqueConstraint("agent_id", "version"),
        same_organization("agent_id", "agents"),
    )
