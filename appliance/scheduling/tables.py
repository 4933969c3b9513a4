"""Calendars, bookings and orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization

NO_OVERLAP = "ex_bookings_no_overlap"
"""The constraint that a double booking violates."""


class Calendar(OfOrganization, Base):
    __tablename__ = "calendars"

    name: Mapped[str]
    slot_minutes: Mapped[int] = mapped_column(server_default="30")
    lead_minutes: Mapped[int] = mapped_column(server_default="60")
    """No slot may be booked that begins sooner than this."""
    horizon_days: Mapped[int] = mapped_column(server_default="14")
    """No slot may be booked that begins later than this."""

    __table_args__ = (
        referable(),
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("slot_minutes > 0", name="slot_minutes"),
        CheckConstraint("lead_minutes >= 0", name="lead_minutes"),
        CheckConstraint("horizon_days > 0", name="horizon_days"),
    )


class Booking(OfOrganization, Base):
    """An appointment. Two that are not cancelled cannot overlap in a calendar, whoever writes them."""

    __tablename__ = "bookings"

    calendar_id: Mapped[UUID]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    name: Mapped[str]
    phone: Mapped[str | None]
    reason: Mapped[str | None]
    call_id: Mapped[UUID | None] = mapped_column(index=True)
    cancelled_at: Mapped[datetime | None]

    __table_args__ = (
        same_organization("calendar_id", "calendars"),
        same_organization("call_id", "calls", ondelete="SET NULL (call_id)"),
        CheckConstraint(
            "NOT isempty(during) AND lower(during) IS NOT NULL AND upper(during) IS NOT NULL", name="during"
        ),
        ExcludeConstraint(
            ("calendar_id", "="),
            ("during", "&&"),
            where=text("cancelled_at IS NULL"),
            using="gist",
            name=NO_OVERLAP,
        ),
    )


class Order(OfOrganization, Base):
    __tablename__ = "orders"

    items: Mapped[list[Any]]
    name: Mapped[str]
    phone: Mapped[str | None]
    call_id: Mapped[UUID | None] = mapped_column(index=True)

    __table_args__ = (same_organization("call_id", "calls", ondelete="SET NULL (call_id)"),)
