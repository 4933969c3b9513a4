"""What is asked of the archive of calls, and what it shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from appliance.calls.domain import CallStatus, Direction, Outcome, Party, RecordingState, Speaker
from appliance.wire import Moment, ShortText

NoteText = Annotated[str, Field(min_length=1, max_length=5000)]


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class CallFilter(BaseModel):
    """Which calls; what is empty asks for nothing. `since` counts, `until` does not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: ShortText = Field(default="", examples=["+4930"])
    """Part of the caller's or the dialled number."""
    text: ShortText = Field(default="", examples=["appointment tuesday"])
    """Words of the transcript; "in quotes" for a phrase, -word for one that must not be there."""
    outcome: tuple[Outcome, ...] = Field(default=(), max_length=20)
    agent_id: UUID | None = None
    direction: Direction | None = None
    without_tests: bool = False
    """Leaves out the test calls of the console."""
    live: bool | None = None
    since: Moment | None = None
    until: Moment | None = None
    min_latency_ms: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)
    """The slow turns (p95) of the call took at least so long."""

    @property
    def is_empty(self) -> bool:
        return self == CallFilter()


class CallLine(Shown):
    """A call in a list."""

    id: UUID
    direction: Direction
    status: CallStatus
    outcome: Outcome | None
    caller: str | None
    caller_name: str | None
    called: str | None
    agent_id: UUID | None
    agent_name: str | None
    agent_version: int | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    """From the answer to the end."""
    turns: int | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    has_recording: bool


class ShownTurn(Shown):
    attempt: int
    index: int
    caller_text: str | None
    """None: not shown to who may not read transcripts."""
    agent_text: str | None
    started_at: datetime | None
    interrupted: bool
    stamps: dict[str, float]
    """Milliseconds since the caller stopped speaking."""


class ShownSegment(Shown):
    attempt: int
    speaker: Speaker
    starts_ms: int
    ends_ms: int
    text: str
    confidence: float | None


class ShownToolCall(Shown):
    action: str
    at: datetime
    finished_at: datetime | None
    ok: bool | None
    arguments: dict[str, Any] | None
    result: dict[str, Any] | None


class ShownEvent(Shown):
    """Progress of the call, or (`kind` is `sip`) a step of its SIP ladder."""

    at: datetime
    kind: str
    detail: dict[str, Any]


class ShownNote(Shown):
    id: UUID
    call_id: UUID
    at: datetime
    text: str
    author: str | None
    """None: the agent took it down for a person."""
    done_at: datetime | None
    done_by: str | None


class ShownRecording(Shown):
    id: UUID
    attempt: int
    state: RecordingState
    seconds: float | None
    size_bytes: int | None
    stored_at: datetime | None
    deleted: bool
    """Its key is gone, and so is the recording."""


class CallDetail(CallLine):
    agent_version_id: UUID | None
    number_id: UUID | None
    trunk_id: UUID | None
    ended_by: Party | None
    q850_cause: int | None
    sip_status: int | None
    attempt: int
    quality: dict[str, Any] | None
    turn_list: list[ShownTurn]
    segments: list[ShownSegment]
    tool_calls: list[ShownToolCall]
    events: list[ShownEvent]
    ladder: list[ShownEvent]
    notes: list[ShownNote]
    recordings: list[ShownRecording]
    booking_ids: list[UUID]
    order_ids: list[UUID]
    transcript_shown: bool
    cost: None = None
    """Not known: the appliance has no tariff of the trunks."""


class ShownFilter(Shown):
    id: UUID
    name: str
    mine: bool
    shared: bool
    filter: CallFilter


class ShownLink(Shown):
    id: UUID
    call_id: UUID
    with_recording: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    opened: int
    last_opened_at: datetime | None


class NewLink(Shown):
    """`token` is shown this once."""

    link: ShownLink
    token: str


NoteKind = Literal["callback", "note"]
