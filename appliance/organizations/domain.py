"""What an organization sets for itself, and the keys of its programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from appliance.access.domain import Right
from appliance.wire import LongText, Moment, ShortText

Redaction = Literal["card_numbers", "long_digits", "email_addresses"]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone such as Europe/Berlin") from error
    return name


Days = Annotated[int, Field(ge=1, le=36_500)]


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Retention(Given):
    """After so many days it is deleted; None: it is kept."""

    recordings_days: Days | None = None
    calls_days: Days | None = None
    """The call with its transcript, turns and events; bookings and orders stay."""


class Consent(Given):
    """The notice that new agents begin with; each agent's own text is in its versions."""

    text: LongText = ""


class Redacting(Given):
    """What is masked in transcripts whenever they are shown; the words stay in database and sound."""

    kinds: tuple[Redaction, ...] = Field(default=(), max_length=10)


class Branding(Given):
    display_name: ShortText = ""
    accent: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")] | None = Field(
        default=None, examples=["#0b6e4f"]
    )


class Quota(Given):
    """Minutes a calendar month, in the organization's time zone. It warns; it never cuts a call off."""

    minutes_per_month: int | None = Field(default=None, ge=1, le=10_000_000)
    warn_at_percent: int = Field(default=80, ge=1, le=100)


class OrganizationSettings(Given):
    retention: Retention = Field(default_factory=Retention)
    consent: Consent = Field(default_factory=Consent)
    redaction: Redacting = Field(default_factory=Redacting)
    branding: Branding = Field(default_factory=Branding)
    quota: Quota = Field(default_factory=Quota)


class OrganizationInput(OrganizationSettings):
    name: Annotated[ShortText, Field(min_length=1, max_length=120)]
    timezone: Annotated[str, Field(max_length=100), AfterValidator(_zone)] = Field(examples=["Europe/Berlin"])
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"


class ShownOrganization(OrganizationInput):
    id: UUID
    slug: str
    max_calls: int
    """Calls at once, set by the operator of the box."""
    created_at: datetime


class KeyInput(Given):
    name: Annotated[ShortText, Field(min_length=1, max_length=120)] = Field(examples=["Reporting"])
    scopes: Annotated[tuple[Right, ...], Field(min_length=1, max_length=60)] = Field(
        examples=[["calls:read"]]
    )
    expires_at: Moment | None = None
    requests_per_minute: int = Field(default=600, ge=1, le=60_000)


class ShownKey(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    requests_per_minute: int
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(BaseModel):
    """`secret` (`tl_<prefix>_<secret>`) is shown this once."""

    model_config = ConfigDict(frozen=True)

    key: ShownKey
    secret: str
