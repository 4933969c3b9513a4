"""What an agent is: the snapshot of a published version, which a call carries from first to last word."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appliance.wire import LongText, Phrase, ShortText, WireModel

ToolAction = Literal[
    "check_availability", "create_booking", "create_order", "transfer_to_human", "end_call", "log_note"
]
TOOL_ACTIONS: tuple[ToolAction, ...] = (
    "check_availability",
    "create_booking",
    "create_order",
    "transfer_to_human",
    "end_call",
    "log_note",
)
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class TurnTaking(WireModel):
    """When the agent holds the caller's turn for ended, and what counts as an interruption."""

    min_endpointing_ms: int = Field(default=250, ge=0, le=10_000)
    max_endpointing_ms: int = Field(default=1200, ge=0, le=30_000)
    interruption_min_ms: int = Field(default=400, ge=0, le=10_000)
    interruption_min_words: int = Field(default=0, ge=0, le=20)


class Silence(WireModel):
    """A caller who says nothing is asked, then the call ends politely."""

    prompt_after_seconds: float = Field(default=8.0, gt=0, le=600)
    end_after_seconds: float = Field(default=8.0, gt=0, le=600)
    """Counted from the question, not from the last word."""


class CallLimits(WireModel):
    max_duration_seconds: int = Field(default=1800, ge=30, le=14_400)


class Escalation(WireModel):
    """Who takes the call when the agent cannot, or the caller asks for a person."""

    target: ShortText | None = None
    """A number or a SIP URI; None: nobody."""
    opening_hours_only: bool = False


class Sentences(WireModel):
    """What the agent says without asking the language engine, in the agent's language."""

    apology: ShortText = "I am sorry, something went wrong on our side. Please give me a moment."
    still_there: ShortText = "Are you still there?"
    goodbye_silence: ShortText = "I cannot hear you, so I will end the call now. Goodbye."
    time_warning: ShortText = "We have only a little time left for this call."
    time_over: ShortText = "Our time is up, so I have to end the call here. Goodbye."
    transfer: ShortText = "One moment, I am putting you through."
    transfer_failed: ShortText = "I am sorry, nobody could take the call. How else can I help?"
    one_moment: ShortText = "One moment, please."
    go_on: ShortText = "I am sorry, the line was interrupted for a moment. Please go on."
    tool_failed: ShortText = "I am sorry, I cannot do that at the moment."
    goodbye: ShortText = "Thank you for calling. Goodbye."
    cannot_help: ShortText = "I am sorry, I cannot help you at the moment. Please call again later. Goodbye."


class AgentSnapshot(WireModel):
    """A published agent version, immutable from then on."""

    name: ShortText
    language: LanguageTag = "en"
    prompt: LongText
    greeting: LongText
    consent: LongText = ""
    """Spoken before the greeting, never interruptible; empty: no notice."""
    voice: ShortText = "default"
    tools: tuple[ToolAction, ...] = ()
    functions: tuple[ShortText, ...] = ()
    """Names of the organization's own functions that it may call, as they are set when it calls them."""
    phrases: tuple[Phrase, ...] = Field(default=(), max_length=200)
    """Words that the recogniser should expect; as many and as long as recognisers take."""
    turn_taking: TurnTaking = Field(default_factory=TurnTaking)
    silence: Silence = Field(default_factory=Silence)
    limits: CallLimits = Field(default_factory=CallLimits)
    escalation: Escalation = Field(default_factory=Escalation)
    sentences: Sentences = Field(default_factory=Sentences)
