"""The life of one call as a pure state machine: what happened, and what is to be done about it.

`step` never waits and never fails: any event may come in any phase, and what makes no sense there is passed
over. Every phase but ENDED has a deadline (`Late`), and repeated `Late` always leads to ENDED, so no call
hangs for ever; the tests prove both for arbitrary sequences of events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal

from runtime.sip.call_events import (
    NO_ANSWER,
    NORMAL_CLEARING,
    TEMPORARY_FAILURE,
    TIMER_EXPIRY,
    Action,
    Admitted,
    CallerGone,
    Consult,
    Do,
    Event,
    Party,
    Refuse,
    Refused,
    Release,
    Simple,
    Speak,
    TransferAsked,
)


class Phase(Enum):
    ADMITTING = auto()
    """Inbound: the tool API is asked; nothing exists yet."""
    DIALLING = auto()
    """Outbound: admitted, the other side is called."""
    PREPARING = auto()
    """Room, agent and media are made; an inbound caller hears ringing."""
    ANSWERING = auto()
    TALKING = auto()
    RECOVERING = auto()
    """The agent was lost, the next one is on its way; the caller hears a sentence."""
    CONSULTING = auto()
    """A human's telephone is called; the caller hears ringing."""
    JOINED = auto()
    """Caller and human are connected inside the gateway."""
    CLOSING = auto()
    """The last words are played."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class CallState:
    phase: Phase
    can_escalate: bool = False
    max_losses: int = 2
    caller_up: bool = False
    room_up: bool = False
    media_up: bool = False
    agent_ready: bool = False
    agent_asked: bool = False
    """The running consultation was asked for by the agent, which then gets the caller back on failure."""
    is_outbound: bool = False
    losses: int = 0
    media_losses: int = 0

    @property
    def all_ready(self) -> bool:
        return self.room_up and self.media_up and self.agent_ready


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the phases may last, in seconds."""

    admit: float = 6.0
    ring: float = 45.0
    agent_ready: float = 8.0
    consult: float = 35.0
    last_words: float = 20.0


def deadline_seconds(state: CallState, limits: Limits) -> float | None:
    """When LATE is due after the state was entered; None where only the limit of the whole call counts."""
    match state.phase:
        case Phase.ADMITTING:
            return limits.admit
        case Phase.DIALLING:
            return limits.ring
        case Phase.PREPARING:
            return limits.ring if state.is_outbound and not state.caller_up else limits.agent_ready
        case Phase.ANSWERING:
            return limits.agent_ready
        case Phase.RECOVERING:
            # A worker that was killed needs longer to start again than one that is there needs to join.
            return limits.agent_ready * 3
        case Phase.CONSULTING:
            return limits.consult
        case Phase.CLOSING:
            return limits.last_words
        case Phase.TALKING | Phase.JOINED | Phase.ENDED:
            return None


Step = tuple[CallState, tuple[Action, ...]]
_CONVERSING = frozenset({Phase.TALKING, Phase.RECOVERING, Phase.CONSULTING})
_SETTING_UP = frozenset({Phase.ADMITTING, Phase.DIALLING, Phase.PREPARING, Phase.ANSWERING})


def inbound(*, max_losses: int = 2) -> CallState:
    return CallState(Phase.ADMITTING, max_losses=max_losses)


def outbound(*, can_escalate: bool, max_losses: int = 2) -> Step:
    """An outbound call is admitted before it exists."""
    state = CallState(Phase.DIALLING, can_escalate=can_escalate, max_losses=max_losses, is_outbound=True)
    return state, (Do.DIAL,)


def step(state: CallState, event: Event) -> Step:
    """The next state, and what to do in this order."""
    if state.phase is Phase.ENDED:
        return state, ()
    match event:
        case CallerGone(cause):
            return _end(state, "caller", cause)
        case Refused(sip_status):
            if state.phase is not Phase.ADMITTING:
                return state, ()
            return _end(state, "bridge", TEMPORARY_FAILURE, Refuse(sip_status))
        case Admitted(can_escalate):
            if state.phase is not Phase.ADMITTING:
                return state, ()
            return replace(state, phase=Phase.PREPARING, can_escalate=can_escalate), (Do.PREPARE,)
        case TransferAsked(target):
            if state.phase is not Phase.TALKING:
                return state, ()
            return replace(state, phase=Phase.CONSULTING, agent_asked=True), (Consult(target),)
        case Simple():
            return _RULES[event](state)


def _end(state: CallState, party: Party, cause: int, *before: Action) -> Step:
    return replace(state, phase=Phase.ENDED), (*before, Release(party, cause))


def _callee_ringing(state: CallState) -> Step:
    # The agent is called while the telephone rings, so that it can speak at once.
    if state.phase is not Phase.DIALLING:
        return state, ()
    return replace(state, phase=Phase.PREPARING), (Do.PREPARE,)


def _caller_up(state: CallState) -> Step:
    state = replace(state, caller_up=True)
    if state.phase is Phase.DIALLING:
        return replace(state, phase=Phase.PREPARING), (Do.PREPARE,)
    if state.phase is Phase.ANSWERING:
        if state.agent_ready:
            return replace(state, phase=Phase.TALKING), (Do.BEGIN,)
        return _give_up(state)
    return _begin_if_ready(state)


def _begin_if_ready(state: CallState) -> Step:
    if state.phase is not Phase.PREPARING or not state.all_ready:
        return state, ()
    if state.caller_up:
        return replace(state, phase=Phase.TALKING), (Do.BEGIN,)
    if state.is_outbound:
        return state, ()
    return replace(state, phase=Phase.ANSWERING), (Do.ANSWER,)


def _room_joined(state: CallState) -> Step:
    return _begin_if_ready(replace(state, room_up=True))


def _room_failed(state: CallState) -> Step:
    if state.phase is Phase.PREPARING:
        return _fail_setup(state)
    return _room_lost(state) if state.phase is Phase.RECOVERING else (state, ())


def _room_lost(state: CallState) -> Step:
    state = replace(state, room_up=False, agent_ready=False)
    return _lost(state, Do.REJOIN)


def _media_ready(state: CallState) -> Step:
    return _begin_if_ready(replace(state, media_up=True))


def _media_failed(state: CallState) -> Step:
    if state.phase is Phase.PREPARING:
        return _fail_setup(state)
    if state.phase in (Phase.JOINED, Phase.ADMITTING, Phase.DIALLING):
        return state, ()
    return _end(state, "bridge", TEMPORARY_FAILURE)


def _media_lost(state: CallState) -> Step:
    if state.phase in (Phase.JOINED, Phase.ADMITTING, Phase.DIALLING):
        return state, ()
    state = replace(state, media_up=False, media_losses=state.media_losses + 1)
    if state.media_losses > 1:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    return state, (Do.REMAKE_MEDIA,)


def _fail_setup(state: CallState) -> Step:
    """The room or the media cannot be made: say 503 while that is possible, else let the dialplan speak."""
    if state.caller_up:
        return _end(state, "bridge", TEMPORARY_FAILURE, Do.FALL_BACK)
    if state.is_outbound:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    return _end(state, "bridge", TEMPORARY_FAILURE, Refuse(503))


def _agent_ready(state: CallState) -> Step:
    state = replace(state, agent_ready=True)
    if state.phase is Phase.RECOVERING and state.room_up:
        return replace(state, phase=Phase.TALKING), (Do.BEGIN,)
    if state.phase is Phase.CONSULTING and not state.agent_asked and state.room_up and state.media_up:
        # The human was called only because no agent came: the caller need not wait for one any longer.
        return replace(state, phase=Phase.TALKING), (Do.GIVE_BACK, Do.BEGIN)
    return _begin_if_ready(state)


def _agent_lost(state: CallState) -> Step:
    return _lost(replace(state, agent_ready=False), Do.REDISPATCH)


def _lost(state: CallState, remedy: Literal[Do.REDISPATCH, Do.REJOIN]) -> Step:
    """The agent is gone or does not come: the next one, until there were too many."""
    if state.phase is Phase.JOINED:
        return state, (Do.LEAVE_ROOM,)
    if state.phase not in (Phase.PREPARING, Phase.ANSWERING, Phase.TALKING, Phase.RECOVERING):
        return state, ()
    state = replace(state, losses=state.losses + 1)
    if state.losses >= state.max_losses:
        return _give_up(state)
    if state.phase in (Phase.PREPARING, Phase.ANSWERING):
        return replace(state, phase=Phase.PREPARING), (*_sentence(state), remedy)
    return replace(state, phase=Phase.RECOVERING), (Speak("one_moment"), remedy)


def _sentence(state: CallState) -> tuple[Action, ...]:
    return (Speak("one_moment"),) if state.caller_up and state.media_up else ()


def _give_up(state: CallState) -> Step:
    """No agent is to be had: a human, or the last sentence."""
    if not state.caller_up and state.is_outbound:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    if not state.caller_up:
        if state.can_escalate and state.media_up:
            return replace(state, phase=Phase.ANSWERING, agent_ready=False), (Do.ANSWER,)
        return _end(state, "bridge", TEMPORARY_FAILURE, Do.FALL_BACK)
    if not state.media_up:
        return _end(state, "bridge", TEMPORARY_FAILURE, Do.FALL_BACK)
    if state.can_escalate:
        return replace(state, phase=Phase.CONSULTING, agent_asked=False), (Consult(),)
    return replace(state, phase=Phase.CLOSING), (Speak("cannot_continue", last=True),)


def _agent_finished(state: CallState) -> Step:
    if state.phase is Phase.JOINED:
        return state, (Do.LEAVE_ROOM,)
    if state.phase is Phase.TALKING:
        return _end(state, "agent", NORMAL_CLEARING)
    if state.phase in (Phase.PREPARING, Phase.ANSWERING, Phase.RECOVERING):
        return _agent_lost(state)
    return replace(state, agent_ready=False), ()


def _hangup_asked(state: CallState) -> Step:
    if state.phase in _CONVERSING:
        return _end(state, "agent", NORMAL_CLEARING)
    return state, ()


def _held(state: CallState) -> Step:
    return state, ((Do.HOLD,) if state.phase in _CONVERSING else ())


def _resumed(state: CallState) -> Step:
    return state, ((Do.RESUME,) if state.phase in _CONVERSING else ())


def _target_answered(state: CallState) -> Step:
    if state.phase is not Phase.CONSULTING:
        return state, ()
    return replace(state, phase=Phase.JOINED), (Do.JOIN,)


def _target_failed(state: CallState) -> Step:
    if state.phase is not Phase.CONSULTING:
        return state, ()
    if state.agent_ready and state.room_up:
        # Also when it came while the human was called in its stead.
        return replace(state, phase=Phase.TALKING), (Do.GIVE_BACK, Do.BEGIN)
    if state.agent_asked and state.room_up and state.media_up and state.losses + 1 < state.max_losses:
        # The agent was lost while the human's telephone rang.
        state = replace(state, phase=Phase.RECOVERING, losses=state.losses + 1)
        return state, (Do.GIVE_BACK, Speak("one_moment"), Do.REDISPATCH)
    if state.media_up:
        return (
            replace(state, phase=Phase.CLOSING),
            (Do.GIVE_BACK, Speak("cannot_continue", last=True)),
        )
    return _end(state, "bridge", TEMPORARY_FAILURE, Do.GIVE_BACK)


def _target_gone(state: CallState) -> Step:
    if state.phase is Phase.JOINED:
        return _end(state, "gateway", NORMAL_CLEARING)
    return _target_failed(state)


def _last_words_spoken(state: CallState) -> Step:
    if state.phase is Phase.CLOSING:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    return state, ()


def _rtp_silent(state: CallState) -> Step:
    if state.phase in _SETTING_UP:
        return state, ()
    return _end(state, "gateway", TIMER_EXPIRY)


def _time_over(state: CallState) -> Step:
    return _end(state, "bridge", TIMER_EXPIRY)


def _answer_failed(state: CallState) -> Step:
    if state.phase is Phase.ANSWERING:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    return state, ()


def _stopping(state: CallState) -> Step:
    if state.phase is Phase.JOINED or state.phase is Phase.CLOSING:
        return _end(state, "bridge", TEMPORARY_FAILURE)
    if state.is_outbound and not state.caller_up:
        return _end(state, "bridge", NORMAL_CLEARING)
    return _end(state, "bridge", TEMPORARY_FAILURE, Do.FALL_BACK)


def _late(state: CallState) -> Step:
    match state.phase:
        case Phase.ADMITTING:
            return _end(state, "bridge", TEMPORARY_FAILURE, Refuse(503))
        case Phase.DIALLING:
            return _end(state, "bridge", NO_ANSWER)
        case Phase.PREPARING if state.is_outbound and not state.caller_up:
            return _end(state, "bridge", NO_ANSWER)
        case Phase.PREPARING if not (state.room_up and state.media_up):
            return _fail_setup(state)
        case Phase.PREPARING | Phase.RECOVERING:
            return _lost(state, Do.REDISPATCH if state.room_up else Do.REJOIN)
        case Phase.CONSULTING:
            return _target_failed(state)
        case Phase.CLOSING:
            return _last_words_spoken(state)
        case _:
            return _end(state, "bridge", TIMER_EXPIRY)


_RULES: dict[Simple, Callable[[CallState], Step]] = {
    Simple.CALLEE_RINGING: _callee_ringing,
    Simple.CALLER_UP: _caller_up,
    Simple.ANSWER_FAILED: _answer_failed,
    Simple.ROOM_JOINED: _room_joined,
    Simple.ROOM_FAILED: _room_failed,
    Simple.ROOM_LOST: _room_lost,
    Simple.MEDIA_READY: _media_ready,
    Simple.MEDIA_FAILED: _media_failed,
    Simple.MEDIA_LOST: _media_lost,
    Simple.AGENT_READY: _agent_ready,
    Simple.AGENT_FINISHED: _agent_finished,
    Simple.AGENT_LOST: _agent_lost,
    Simple.HELD: _held,
    Simple.RESUMED: _resumed,
    Simple.HANGUP_ASKED: _hangup_asked,
    Simple.TARGET_ANSWERED: _target_answered,
    Simple.TARGET_FAILED: _target_failed,
    Simple.TARGET_GONE: _target_gone,
    Simple.LAST_WORDS_SPOKEN: _last_words_spoken,
    Simple.RTP_SILENT: _rtp_silent,
    Simple.TIME_OVER: _time_over,
    Simple.LATE: _late,
    Simple.STOPPING: _stopping,
}
