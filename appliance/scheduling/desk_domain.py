"""Bookings and orders as the people at the desk see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class ShownBooking(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    calendar_id: UUID
    starts_at: datetime
    ends_at: datetime
    name: str
    phone: str | None
    reason: str | None
    call_id: UUID | None
    created_at: datetime
    cancelled_at: datetime | None


class ShownOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    items: list[dict[str, Any]]
    name: str
    phone: str | None
    call_id: UUID | None
    created_at: datetime
