"""What a widget is, what is asked at its admission, and the codes by which a visitor is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from appliance.widgets.origins import checked_origin
from appliance.wire import ShortText, WireModel

Mode = Literal["voice", "text"]
Origin = Annotated[str, Field(max_length=300), AfterValidator(checked_origin)]
VISITOR_LIMIT = "visitor_limit"
AGENT_LIMIT = "agent_limit"
QUOTA_REACHED = "quota_reached"
NOT_PUBLISHED = "not_published"
_NAME = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(lambda text: _plain(text))]


def _plain(text: str) -> str:
    plain = text.replace("\x00", "").strip()
    if not plain:
        raise ValueError("This is needed.")
    return plain


class WidgetInput(BaseModel):
    """A widget as it is written: whose agent, on which sites, and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[_NAME, Field(examples=["Web site"])]
    """For the organization's own list."""
    agent_id: UUID
    title: Annotated[_NAME, Field(examples=["Ask the practice"])]
    """What visitors read above it."""
    origins: Annotated[
        tuple[Origin, ...],
        Field(
            max_length=50,
            examples=[["https://www.example.com", "https://*.example.org"]],
            description="Sites that may carry it; `https://*.` stands for all names below a domain",
        ),
    ] = ()
    voice: bool = True
    text: bool = True
    demo: bool = True
    """Whether the box's own demo page may carry it."""
    enabled: bool = True
    max_sessions: Annotated[int, Field(ge=1, le=100)] = 3
    """At the same time, of this widget's agent on all web sites."""
    visitor_sessions_per_hour: Annotated[int, Field(ge=1, le=1000)] = 10
    """Of one browser."""
    address_sessions_per_hour: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Of one network address, behind which several people may sit."""
    max_duration_seconds: Annotated[int, Field(ge=30, le=3600)] = 600

    @model_validator(mode="after")
    def _one_way(self) -> WidgetInput:
        if not (self.voice or self.text):
            raise ValueError("Allow voice, text or both.")
        return self


class ShownWidget(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    public_id: str = Field(examples=["wg_4kq1Zr0pQf2mYw7B"])
    """What the page's element names; it is no secret."""
    name: str
    agent_id: UUID
    title: str
    origins: list[str]
    voice: bool
    text: bool
    demo: bool
    enabled: bool
    max_sessions: int
    visitor_sessions_per_hour: int
    address_sessions_per_hour: int
    max_duration_seconds: int
    created_at: datetime


class WebCallRequest(WireModel):
    """A visitor wants to speak or write to the agent. Visitor and address are digests, never the thing."""

    organization_id: UUID
    widget_id: UUID
    mode: Mode
    origin: ShortText
    visitor: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    address: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
