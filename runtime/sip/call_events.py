"""What can happen to a call, and what the bridge can do about it: the words of the state machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

Party = Literal["caller", "agent", "gateway", "bridge"]

NORMAL_CLEARING = 16
NO_ANSWER = 19
TEMPORARY_FAILURE = 41
TIMER_EXPIRY = 102


# What happened


class Simple(Enum):
    """Events that carry nothing."""

    CALLEE_RINGING = auto()
    CALLER_UP = auto()
    """The caller's channel is answered: by us, or (outbound) by the other side."""
    ANSWER_FAILED = auto()
    ROOM_JOINED = auto()
    ROOM_FAILED = auto()
    ROOM_LOST = auto()
    MEDIA_READY = auto()
    MEDIA_FAILED = auto()
    MEDIA_LOST = auto()
    AGENT_READY = auto()
    AGENT_FINISHED = auto()
    AGENT_LOST = auto()
    HELD = auto()
    RESUMED = auto()
    HANGUP_ASKED = auto()
    TARGET_ANSWERED = auto()
    TARGET_FAILED = auto()
    TARGET_GONE = auto()
    LAST_WORDS_SPOKEN = auto()
    RTP_SILENT = auto()
    TIME_OVER = auto()
    LATE = auto()
    """The phase's deadline has passed."""
    STOPPING = auto()
    """The bridge goes down."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The tool API gave the call a place."""

    can_escalate: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The tool API did not admit the call."""

    sip_status: int


@dataclass(frozen=True, slots=True)
class CallerGone:
    q850_cause: int = NORMAL_CLEARING


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """The agent wants the caller to be connected with a human."""

    target: str


Event = Simple | Admitted | Refused | CallerGone | TransferAsked


# What is to be done


class Do(Enum):
    """Actions that carry nothing."""

    PREPARE = auto()
    ANSWER = auto()
    BEGIN = auto()
    """The conversation may begin or go on: audio flows, the room is told `active`."""
    HOLD = auto()
    RESUME = auto()
    REDISPATCH = auto()
    REJOIN = auto()
    """Join the room anew, with the next agent."""
    REMAKE_MEDIA = auto()
    DIAL = auto()
    JOIN = auto()
    GIVE_BACK = auto()
    """Stop the ringing: the agent has the caller again, and is told why the transfer failed."""
    LEAVE_ROOM = auto()
    FALL_BACK = auto()
    """Give the caller's channel to the dialplan's fallback: overflow, or a sentence."""


@dataclass(frozen=True, slots=True)
class Refuse:
    sip_status: int


@dataclass(frozen=True, slots=True)
class Speak:
    """Play a sentence of the box; `last` means that LAST_WORDS_SPOKEN follows."""

    key: str
    last: bool = False


@dataclass(frozen=True, slots=True)
class Consult:
    """Call the target; an empty one is the escalation target of the admission."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Everything is taken down; the last action of every call."""

    party: Party
    q850_cause: int


Action = Do | Refuse | Speak | Consult | Release
