"""The life of a call: what is asked at admission, what is reported while it lasts, and what remains of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, FiniteFloat

from appliance.agents.domain import AgentSnapshot
from appliance.errors import TrunklineError
from appliance.wire import JsonObject, LongText, Moment, ShortText, WireModel

Direction = Literal["inbound", "outbound", "test", "web"]
"""`test`: a member talks to a draft from the browser; `web`: a visitor of a web site, through a widget."""
Outcome = Literal[
    "completed", "booked", "ordered", "transferred", "caller_hung_up", "no_speech", "time_limit", "failed"
]
Party = Literal["caller", "agent", "gateway", "bridge"]
Speaker = Literal["caller", "agent"]
ProgressStatus = Literal["ringing", "answered", "held", "resumed", "agent_lost", "transferring"]
CallStatus = Literal["admitted", "ringing", "answered", "held", "transferring", "ended", "abandoned"]
"""`admitted` to `transferring` hold a place; `ended` and `abandoned` (never heard of again) are final."""
LIVE_STATUSES: tuple[CallStatus, ...] = ("admitted", "ringing", "answered", "held", "transferring")
StampName = Literal[
    "vad_end",
    "end_of_turn",
    "stt_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "first_audio_out",
]
Attempt = Annotated[int, Field(ge=1, le=1000)]


class AdmissionRefused(TrunklineError):  # noqa: N818
    """The call is not taken; `sip_status` says how the gateway tells the caller's side.

    404: no such number; 403: not allowed; 486: busy; 503: full, come again after `retry_after_seconds`;
    302: go to `contact`.
    """

    code = "admission_refused"

    def __init__(
        self,
        message: str,
        *,
        sip_status: int,
        retry_after_seconds: int | None = None,
        contact: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.sip_status = sip_status
        self.retry_after_seconds = retry_after_seconds
        self.contact = contact
        self.retryable = sip_status == 503


class AdmissionRequest(WireModel):
    """An INVITE that waits at the gateway; numbers as the gateway gave them."""

    sip_call_id: ShortText
    direction: Literal["inbound"] = "inbound"
    called: ShortText
    caller: ShortText = ""
    caller_name: ShortText | None = None
    trunk_id: UUID
    gateway_channel: ShortText


class OutboundRequest(WireModel):
    """A call that the box is to place; without `trunk_id` and `number_id` the first that fit."""

    organization_id: UUID
    agent_id: UUID
    to: ShortText
    trunk_id: UUID | None = None
    number_id: UUID | None = None


class BrowserCallRequest(WireModel):
    """A member wants to try a draft; the snapshot stays with the call, whatever becomes of the draft."""

    organization_id: UUID
    agent_id: UUID
    snapshot: AgentSnapshot
    caller_name: ShortText = ""
    """Who tries it, as the list of calls names them."""


class AdmissionLimits(WireModel):
    max_duration_seconds: int
    ring_timeout_seconds: int = 45


class AdmissionEscalation(WireModel):
    target: str | None = None


class Dial(WireModel):
    """Which number the gateway dials over which trunk, and the number that it shows."""

    trunk: UUID
    to: str
    from_number: str = Field(default="", alias="from")

    model_config = WireModel.model_config | {"populate_by_name": True}


class Admission(WireModel):
    """The place that a call was given: its room, the ticket into it and the agent to dispatch."""

    call_id: UUID
    organization_id: UUID
    room_name: str
    participant_identity: str
    participant_token: str = Field(repr=False)
    agent_name: str
    dispatch_metadata: str = Field(repr=False)
    limits: AdmissionLimits
    language: str = "en"
    escalation: AdmissionEscalation = Field(default_factory=AdmissionEscalation)
    overflow: str | None = None
    dial: Dial | None = None


class Redispatch(WireModel):
    """The ticket of the next agent after one was lost."""

    dispatch_metadata: str = Field(repr=False)
    attempt: Attempt


class Progress(WireModel):
    status: ProgressStatus
    at: Moment
    detail: JsonObject | ShortText | None = None


class LadderEntry(WireModel):
    """One SIP message of the call, as the gateway saw it."""

    at: Moment
    leg: ShortText
    direction: ShortText
    method_or_status: ShortText
    detail: JsonObject | ShortText | None = None


class LegQuality(WireModel):
    """RTCP of one leg at its end; None: the other side did not tell."""

    rx_packets: int | None = Field(default=None, ge=0, le=2**53)
    tx_packets: int | None = Field(default=None, ge=0, le=2**53)
    rx_loss: FiniteFloat | None = None
    tx_loss: FiniteFloat | None = None
    rx_jitter_ms: FiniteFloat | None = None
    tx_jitter_ms: FiniteFloat | None = None
    rtt_ms: FiniteFloat | None = None


class Ended(WireModel):
    """The bridge's report after the last leg is gone."""

    at: Moment
    hangup_party: Party
    q850_cause: int = Field(default=16, ge=0, le=127)
    sip_status: int | None = Field(default=None, ge=100, le=699)
    answered_at: Moment | None = None
    ladder: Annotated[tuple[LadderEntry, ...], Field(max_length=2000)] = ()
    quality: Annotated[dict[ShortText, LegQuality], Field(max_length=50)] = Field(
        default_factory=dict[str, LegQuality]
    )


class Turn(WireModel):
    """What the caller said and what the agent answered.

    `stamps` count milliseconds since the caller stopped speaking; their names are `StampName`, and a name
    that a newer worker adds is kept.
    """

    index: int = Field(ge=0, le=100_000)
    caller_text: LongText = ""
    agent_text: LongText = ""
    started_at: Moment
    interrupted: bool = False
    stamps: Annotated[dict[StampName, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=20)] = (
        Field(default_factory=dict[StampName, float])
    )
    tool_calls: Annotated[tuple[JsonObject, ...], Field(max_length=100)] = ()


class Segment(WireModel):
    """A stretch of one speaker's words; times count from the start of the recording."""

    speaker: Speaker
    starts_ms: int = Field(ge=0, le=2**31 - 1)
    ends_ms: int = Field(ge=0, le=2**31 - 1)
    text: LongText
    confidence: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class Finish(WireModel):
    """The worker's report at the end of its part of the call."""

    outcome: Outcome
    ended_by: Party
    segments: Annotated[tuple[Segment, ...], Field(max_length=20_000)] = ()
    turns: Annotated[tuple[Turn, ...], Field(max_length=5_000)] = ()
    recording_id: UUID | None = None
    attempt: Attempt = 1


class ToolDescription(WireModel):
    """A tool as the language engine is told of it; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Utterance(WireModel):
    role: Speaker
    text: str


class CallContext(WireModel):
    """All that a worker needs to know to take the call, or to go on with it (`attempt` > 1)."""

    call_id: UUID
    organization_id: UUID
    agent_version_id: UUID | None
    """None: a test call, which has the draft's snapshot."""
    direction: Direction
    caller: str
    called: str
    started_at: datetime
    timezone: str
    snapshot: AgentSnapshot
    tools: tuple[ToolDescription, ...]
    conversation: tuple[Utterance, ...] = ()
    next_turn_index: int = 0
    """How many turns are stored so far; the worker of this attempt goes on counting from there."""
    attempt: Attempt = 1


class ToolRequest(WireModel):
    tool_call_id: Annotated[ShortText, Field(min_length=1)]
    arguments: JsonObject = Field(default_factory=dict[str, Any])


class ToolAnswer(WireModel):
    """`ok` false is an error that the agent speaks (`say`); `say` with `ok` true is a sentence it may use."""

    ok: bool
    result: dict[str, Any] | None = None
    code: str | None = None
    say: str | None = None


class RecordingRequest(WireModel):
    attempt: Attempt = 1


class RecordingGrant(WireModel):
    """Where the recording of one attempt goes and the key that it is sealed with (both keys base64)."""

    recording_id: UUID
    organization_id: UUID
    bucket: str
    object: str
    data_key: str = Field(repr=False)
    wrapped_data_key: str = Field(repr=False)


RecordingState = Literal["spooling", "sealed", "stored", "failed"]


class RecordingSealed(WireModel):
    """What became of a recording: sent when it was sealed, and again when it is stored or lost."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    size_bytes: int | None = Field(default=None, ge=0, le=2**53)
    seconds: float | None = Field(default=None, ge=0, le=1e9, allow_inf_nan=False)
    channels: int | None = Field(default=None, ge=1, le=16)
    sample_rate_hz: int | None = Field(default=None, ge=8000, le=192_000)
    state: RecordingState
