"""One call's transfers: the agent's request, the call to the human, and the answer to the agent.

Both modes consult first. In `attended` the agent does not speak with the human: the bridge rings, and joins
caller and human at the answer (docs/adr/0032).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from appliance.errors import InvalidInput, TrunklineError
from runtime.sip.admission import CallerLeg
from runtime.sip.call_events import NORMAL_CLEARING, Event, Simple, TransferAsked
from runtime.sip.ladder import Ladder
from runtime.sip.parts import Parts
from runtime.sip.switchboard import Switchboard
from runtime.sip.tasks import OwnedTasks
from runtime.sip.transfer import Consultation, dial_string

log = structlog.get_logger()

_RING_SECONDS: Final = 30


class TransferDesk:
    """At most one consultation and one unanswered request at a time."""

    def __init__(
        self,
        parts: Parts,
        leg: CallerLeg,
        switchboard: Switchboard,
        *,
        post: Callable[[Event], None],
        tasks: OwnedTasks,
        ladder: Ladder,
    ) -> None:
        self._parts = parts
        self._leg = leg
        self._switchboard = switchboard
        self._post = post
        self._tasks = tasks
        self._ladder = ladder
        self._consultation: Consultation | None = None
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self.takes_requests = False
        """Whether the call is in a state in which the agent may ask."""

    async def request(self, target: str, _mode: str) -> dict[str, Any]:
        """The agent's RPC: returns when the human has answered or cannot be had."""
        if self._answer is not None or not self.takes_requests:
            return {"result": "failed", "cause": NORMAL_CLEARING, "detail": "not in a conversation"}
        self._answer = asyncio.get_running_loop().create_future()
        self._post(TransferAsked(target))
        try:
            return await self._answer
        finally:
            self._answer = None

    def tell(self, result: str, cause: int, detail: str) -> None:
        """Answers the request, if there is one."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({"result": result, "cause": cause, "detail": detail})

    def consult(self, target: str) -> bool:
        """Calls the target; False (and TARGET_FAILED) when it cannot be dialled at all."""
        try:
            endpoint = dial_string(target, self._leg.trunk_id)
        except InvalidInput as error:
            self.tell("failed", NORMAL_CLEARING, error.message)
            self._post(Simple.TARGET_FAILED)
            return False
        self._consultation = Consultation(
            self._parts.ari,
            self._parts.channels,
            self._ladder,
            on_answered=lambda: self._post(Simple.TARGET_ANSWERED),
            on_failed=lambda: self._post(Simple.TARGET_FAILED),
            on_gone=lambda: self._post(Simple.TARGET_GONE),
        )
        self._tasks.spawn(
            self._consultation.dial(endpoint, caller_id=self._leg.shown_number, ring_seconds=_RING_SECONDS)
        )
        return True

    async def join(self) -> bool:
        """Connects caller and human; False (and TARGET_GONE) when that fails."""
        assert self._consultation is not None
        try:
            await self._switchboard.join(self._consultation.channel)
        except TrunklineError as error:
            log.warning("caller and human could not be joined", reason=str(error))
            self._post(Simple.TARGET_GONE)
            return False
        self.tell("bridged", NORMAL_CLEARING, "")
        return True

    async def give_up(self) -> None:
        """Hangs the human's telephone up and tells the agent why."""
        consultation, self._consultation = self._consultation, None
        if consultation is not None:
            await consultation.close()
            self.tell("failed", consultation.cause, "the target did not answer")

    async def close(self, cause: int) -> None:
        """The call is over. Never raises."""
        self.tell("failed", cause, "the call is over")
        if self._consultation is not None:
            await self._consultation.close()
