"""Organizations (the tenants), and the box that they share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, LargeBinary, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, Identified


class Organization(Identified, Base):
    """A tenant. Its own row is visible to itself, and to the router."""

    __tablename__ = "organizations"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    timezone: Mapped[str]
    """An IANA name, such as `Europe/Berlin`."""
    language: Mapped[str] = mapped_column(server_default="en")
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    """The organization's key, wrapped by the box key (`appliance.security.keys`)."""
    max_calls: Mapped[int] = mapped_column(server_default="10")

    __table_args__ = (CheckConstraint("max_calls >= 0", name="max_calls"),)


class Box(Base):
    """The box itself: one row. Written by the owner, read by all."""

    __tablename__ = "box"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    capacity: Mapped[int]
    """How many calls the whole box may hold at once."""
    last_backup: Mapped[dict[str, Any] | None]
    """A `backups.manifest.LastBackup`; none was made yet when it is null."""

    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("capacity >= 0", name="capacity"),
    )
