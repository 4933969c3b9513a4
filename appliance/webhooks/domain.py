"""The events that webhooks tell of, and their shape (CloudEvents 1.0, JSON)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from appliance.wire import ShortText

EventName = Literal[
    "call.started",
    "call.ended",
    "recording.ready",
    "recording.failed",
    "booking.made",
    "quota.near",
    "agent.version_published",
    "endpoint.test",
]
EVENT_NAMES: tuple[EventName, ...] = (
    "call.started",
    "call.ended",
    "recording.ready",
    "recording.failed",
    "booking.made",
    "quota.near",
    "agent.version_published",
)
"""What an endpoint may ask for; `endpoint.test` is sent by hand alone."""
DeliveryState = Literal["waiting", "delivered", "failed"]
RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 36_000)
)
"""The waits between tries: ten tries in 30 hours, then a delivery has failed."""


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class EndpointInput(Shown):
    url: Annotated[str, Field(min_length=8, max_length=2000, examples=["https://example.com/hooks"])]
    description: ShortText = ""
    events: Annotated[tuple[EventName, ...], Field(min_length=1, max_length=20, examples=[["call.ended"]])]
    enabled: bool = True


class ShownEndpoint(Shown):
    id: UUID
    url: str
    description: str
    events: list[str]
    enabled: bool
    created_at: datetime


class NewEndpoint(Shown):
    """`secret` (`whsec_...`, as Standard Webhooks writes it) is shown this once."""

    endpoint: ShownEndpoint
    secret: str


class ShownDelivery(Shown):
    id: UUID
    endpoint_id: UUID
    event: str
    state: DeliveryState
    tries: int
    created_at: datetime
    next_try_at: datetime | None
    delivered_at: datetime | None
    replay_of: UUID | None
    last_status: int | None
    last_error: str | None
    last_duration_ms: int | None


class ShownTry(Shown):
    at: datetime
    status: int | None
    error: str | None
    duration_ms: int
    answer: str | None
    """The beginning of the answer's body, as text."""


class DeliveryDetail(ShownDelivery):
    payload: dict[str, Any]
    attempts: list[ShownTry]


def cloud_event(
    event_id: UUID, organization_id: UUID, name: str, subject: str, data: dict[str, Any], at: datetime
) -> dict[str, Any]:
    """The event as JSON (CloudEvents 1.0, section 3.1)."""
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/organizations/{organization_id}",
        "type": f"trunkline.{name}",
        "subject": subject,
        "time": at.isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }


def next_try(tries: int, now: datetime) -> datetime | None:
    """When to try again after so many failures; None: never."""
    return now + RETRY_AFTER[tries - 1] if tries <= len(RETRY_AFTER) else None
