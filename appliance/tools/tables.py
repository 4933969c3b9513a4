"""Functions: an organization's own tools, each a web address that is called while the caller waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization


class Function(OfOrganization, Base):
    """A tool of the organization's own. The secret is encrypted with the organization's key, bound to
    `functions.secret` and the row's id, and never shown again."""

    __tablename__ = "functions"

    name: Mapped[str]
    """What the language model calls it: lower case, digits, underscores."""
    description: Mapped[str]
    method: Mapped[str]
    url: Mapped[str]
    headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    auth: Mapped[str] = mapped_column(server_default="none")
    auth_name: Mapped[str | None]
    """The user (basic) or the header's name (header)."""
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    parameters: Mapped[dict[str, Any]]
    """JSON schema of the arguments."""
    timeout_seconds: Mapped[float] = mapped_column(server_default="4")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    tried_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')", name="method"),
        CheckConstraint("auth IN ('none', 'bearer', 'basic', 'header')", name="auth"),
        CheckConstraint("timeout_seconds > 0 AND timeout_seconds <= 10", name="timeout_seconds"),
    )
