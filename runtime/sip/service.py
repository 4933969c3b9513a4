"""The bridge: takes each channel that enters our Stasis application, and owns all calls."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from appliance.calls.domain import Admission, OutboundRequest
from appliance.errors import InvalidInput, TrunklineError
from runtime.sip.admission import CallerLeg, inbound_leg
from runtime.sip.ari import Event
from runtime.sip.call import Call
from runtime.sip.call_events import Simple
from runtime.sip.channels import new_leg_id
from runtime.sip.gateway.names import REFUSE_CONTEXT
from runtime.sip.orphans import OrphanSweep
from runtime.sip.parts import Parts

log = structlog.get_logger()

_STOP_SECONDS: Final = 6.0
_API_CHECK_SECONDS: Final = 2.0


class Bridge:
    """`run` lasts until it is cancelled; then all calls are ended in order."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._calls: dict[asyncio.Task[None], Call] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._sweep = OrphanSweep(parts, live_rooms=self._live_rooms)
        self.api_ready = False
        self._stopping = False

    @property
    def calls(self) -> list[Call]:
        return list(self._calls.values())

    def accepts_calls(self) -> bool:
        """Whether a new call would be served."""
        return self._parts.ari.connected and self.api_ready and not self._stopping

    async def run(self) -> None:
        """Runs everything beside the calls themselves."""
        parts = self._parts
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    parts.ari.run_events(
                        self._on_event, on_connected=self._on_connected, on_lost=self._on_lost
                    )
                )
                tasks.create_task(parts.ended.redeliver())
                tasks.create_task(parts.progress.run())
                tasks.create_task(self._sweep.run())
                tasks.create_task(self._watch_api())
        finally:
            await asyncio.shield(asyncio.create_task(self._end_calls()))

    async def _watch_api(self) -> None:
        while True:
            self.api_ready = await self._parts.api.ready()
            await asyncio.sleep(_API_CHECK_SECONDS)

    async def stop(self) -> None:
        """Ends all calls: their callers are handed to the dialplan's fallback. Events must still arrive."""
        self._stopping = True
        for call in self.calls:
            call.post(Simple.STOPPING)
        if self._calls:
            await asyncio.wait(list(self._calls), timeout=_STOP_SECONDS)

    async def _end_calls(self) -> None:
        tasks = [*self._calls, *self._errands]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)

    # Calls

    def _start(self, call: Call) -> None:
        task = asyncio.get_running_loop().create_task(call.run())
        self._calls[task] = call
        task.add_done_callback(lambda done: self._calls.pop(done, None))

    async def call_out(self, request: OutboundRequest) -> Admission:
        """Places a call; returns as soon as it is admitted. Raises what the tool API says."""
        if not self._parts.ari.connected:
            raise InvalidInput("Asterisk is not connected; no call can be placed.", code="unavailable")
        admission = await self._parts.api.outbound(request)
        if admission.dial is None:
            raise InvalidInput("The tool API admitted an outbound call without saying what to dial.")
        channel_id = new_leg_id()
        leg = CallerLeg(
            channel_id=channel_id,
            trunk_id=admission.dial.trunk,
            called=admission.dial.to,
            caller=admission.dial.from_number,
            caller_name=None,
            sip_call_id=channel_id,
            is_outbound=True,
        )
        self._start(Call(self._parts, leg, admission=admission))
        return admission

    def _live_rooms(self) -> frozenset[str]:
        return frozenset(call.admission.room_name for call in self.calls if call.admission is not None)

    # Events of Asterisk

    def _on_event(self, event: Event) -> None:
        if event.get("type") == "StasisStart" and "replace_channel" in event and self._replace(event):
            return
        if self._parts.channels.route(event):
            return
        if event.get("type") == "StasisStart":
            self._enter(event)

    def _replace(self, event: Event) -> bool:
        """An attended transfer by the far side put a new channel in the place of one of ours."""
        replaced = str(event["replace_channel"].get("id"))
        for call in self.calls:
            if call.actions.caller_channel == replaced:
                call.actions.replace_caller(str(event["channel"]["id"]))
                return True
        return False

    def _enter(self, event: Event) -> None:
        channel_id = str(event["channel"]["id"])
        leg = inbound_leg(event)
        if leg is None:
            self._errand(self._turn_away(channel_id, 404))
        elif self._stopping:
            self._errand(self._turn_away(channel_id, 503))
        else:
            self._start(Call(self._parts, leg))

    def _errand(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _turn_away(self, channel_id: str, sip_status: int) -> None:
        try:
            await self._parts.ari.continue_in_dialplan(channel_id, REFUSE_CONTEXT, str(sip_status))
        except TrunklineError as error:
            log.warning("a channel could not be turned away", reason=error.code)

    async def _on_connected(self) -> None:
        present = frozenset(str(channel["id"]) for channel in await self._parts.ari.channels())
        self._parts.channels.vanished(present)
        await self._sweep.once()

    def _on_lost(self) -> None:
        log.warning("calls go on without asterisk's events", calls=len(self._calls))
