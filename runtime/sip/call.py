"""One call: what happens goes through the state machine, and what that says is done.

A call is one task with one inbox. Whatever ends it (a hang-up, a lost part, a cancelled task, a bug), `run`
takes down everything that was made and reports the end.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import structlog

from appliance.calls.domain import Admission, AdmissionRefused
from appliance.errors import TrunklineError
from runtime.sip.admission import CallerLeg, admission_request
from runtime.sip.ari import Event as AriEvent
from runtime.sip.call_actions import CallActions
from runtime.sip.call_events import (
    NORMAL_CLEARING,
    TEMPORARY_FAILURE,
    Admitted,
    CallerGone,
    Event,
    Refused,
    Release,
    Simple,
)
from runtime.sip.call_state import CallState, Limits, Phase, deadline_seconds, inbound, outbound, step
from runtime.sip.channels import GONE
from runtime.sip.ladder import Ladder, event_time
from runtime.sip.parts import Parts
from runtime.sip.tasks import OwnedTasks

log = structlog.get_logger()

_MAX_INBOX: Final = 1000
_TAKE_DOWN_SECONDS: Final = 30.0


class Call:
    """Make it, then `run` it to its end. `on_ari` and `post` may be called at any time and never block."""

    def __init__(self, parts: Parts, leg: CallerLeg, *, admission: Admission | None = None) -> None:
        settings = parts.settings.bridge
        self.leg = leg
        self.admission = admission
        self._parts = parts
        self._limits = Limits(agent_ready=settings.agent_ready_timeout_seconds)
        if admission is None:
            self.state: CallState = inbound(max_losses=settings.worker_lost_attempts)
            self._first = ()
        else:
            escalates = bool(admission.escalation.target)
            self.state, self._first = outbound(
                can_escalate=escalates, max_losses=settings.worker_lost_attempts
            )
            self._limits = replace(self._limits, ring=admission.limits.ring_timeout_seconds + 2.0)
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(_MAX_INBOX)
        self._deadline: float | None = None
        self._tasks = OwnedTasks(self._on_error)
        self._release = Release("bridge", TEMPORARY_FAILURE)
        self._cause = 0
        """The Q.850 cause that the gateway told, once it has."""
        self._admitting: asyncio.Task[None] | None = None
        self.ladder = Ladder()
        self.actions = CallActions(
            parts, leg, post=self.post, tasks=self._tasks, ladder=self.ladder, on_caller_event=self.on_ari
        )

    def post(self, event: Event) -> None:
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            log.error("the inbox of a call is full", **self._ids)

    @property
    def _ids(self) -> dict[str, str]:
        return {"call_id": str(self.admission.call_id) if self.admission else "not admitted"}

    async def run(self) -> None:
        """Until the call is over and nothing of it is left."""
        taking_down: asyncio.Task[None] | None = None
        try:
            await self._live()
        except Exception:
            log.exception("a call failed", **self._ids)
        finally:
            # A cancelled call is taken down as well, hence the task of its own.
            taking_down = asyncio.create_task(self._take_down())
            await asyncio.shield(taking_down)

    async def _live(self) -> None:
        if self.admission is None:
            self.ladder.add("caller", "in", "INVITE")
            self._admitting = asyncio.create_task(self._admit())
        else:
            self.actions.admitted(self.admission)
        self._arm()
        for action in self._first:
            await self.actions.do(action, self.state)
        while self.state.phase is not Phase.ENDED:
            event = await self._next_event()
            before = self.state
            self.state, actions = step(before, event)
            if _stage(before) != _stage(self.state):
                self._arm()
                was, now = before.phase.name.lower(), self.state.phase.name.lower()
                log.info("call moves on", was=was, now=now, because=_name(event), **self._ids)
            for action in actions:
                if isinstance(action, Release):
                    self._release = action
                else:
                    await self.actions.do(action, self.state)

    def _arm(self) -> None:
        seconds = deadline_seconds(self.state, self._limits)
        self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def _next_event(self) -> Event:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._inbox.get()
        except TimeoutError:
            self._deadline = None
            return Simple.LATE

    async def _admit(self) -> None:
        try:
            admission = await self._parts.api.admit(admission_request(self.leg))
        except AdmissionRefused as refusal:
            self.actions.refusal = refusal
            self.post(Refused(refusal.sip_status))
        except TrunklineError as error:
            log.error("a call could not be admitted", reason=error.code)
            self.post(Refused(503))
        else:
            self.admission = admission
            self.actions.admitted(admission)
            self.post(Admitted(can_escalate=bool(admission.escalation.target)))

    def _on_error(self, error: BaseException) -> None:
        log.error("a part of a call failed", exc_info=error, **self._ids)
        self.post(Simple.TIME_OVER)

    def on_ari(self, event: AriEvent) -> None:
        """What Asterisk says of the caller's channel."""
        self.ladder.note("caller", event, was_up=self.state.caller_up)
        sip_status = event.get("tech_cause")
        if isinstance(sip_status, int) and 300 <= sip_status <= 699:
            self.actions.sip_status = sip_status
        match event["type"]:
            case "StasisStart":
                self.actions.answered_at = event_time(event)
                self.post(Simple.CALLER_UP)
            case "ChannelStateChange" if self.leg.is_outbound and event["channel"]["state"] == "Ringing":
                self.post(Simple.CALLEE_RINGING)
            case "ChannelHold":
                self.post(Simple.HELD)
            case "ChannelUnhold":
                self.post(Simple.RESUMED)
            case "ChannelDtmfReceived":
                self.actions.dtmf_from_caller(str(event.get("digit", "")))
            case "ChannelHangupRequest":
                self._cause = int(event.get("cause") or 0) or self._cause
            case "ChannelVarset":
                self.actions.take_quality(event)
            case kind if kind in GONE:
                self._cause = int(event.get("cause") or 0) or self._cause
                self.post(CallerGone(self._cause or NORMAL_CLEARING))
            case _:
                return

    async def _take_down(self) -> None:
        try:
            async with asyncio.timeout(_TAKE_DOWN_SECONDS):
                if self._admitting is not None:
                    # A place that is given after all must be given back.
                    await asyncio.wait({self._admitting})
                await self._tasks.close()
                await self.actions.take_down(self._release)
                await self.actions.report(self._release, self._cause)
        except Exception:
            log.exception("a call was not taken down in order", **self._ids)
        log.info("call over", party=self._release.party, cause=self._release.q850_cause, **self._ids)


def _stage(state: CallState) -> tuple[Any, ...]:
    """What the deadline belongs to."""
    return state.phase, state.caller_up, state.losses


def _name(event: Event) -> str:
    return event.name.lower() if isinstance(event, Simple) else type(event).__name__
