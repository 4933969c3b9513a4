"""Live calls as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from litestar import get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from appliance.access.domain import Actor, Right
from appliance.calls.events import CallEvents
from appliance.errors import NotFound
from console.api.answers import problems
from console.web.wiring import Wiring

LONGEST_SECONDS = 600.0
"""Then the stream ends and the client comes again: a key that was revoked meanwhile is refused then."""
BEAT_SECONDS = 15.0
_STATE = "call_events"


async def provide_call_events(state: State, wiring: Wiring) -> CallEvents:
    """The one of this process; it ends with the console."""
    found: CallEvents | None = state.get(_STATE)
    if found is None:
        found = CallEvents(wiring.settings.database)
        state[_STATE] = found
        await wiring.stack.enter_async_context(found.running())
    return found


@get(
    "/events",
    right=Right.CALLS_READ,
    operation_id="streamCallEvents",
    responses={
        **problems(),
        200: ResponseSpec(
            str,
            description="`started`, `changed`, `turn`, `ended` with `{call_id}`; `lost`: look at all anew",
            media_type="text/event-stream",
        ),
    },
)
async def stream_events(actor: Actor, call_events: CallEvents) -> Stream:
    """What happens to the organization's calls from now on. Each event says only which call: ask for it."""
    if actor.organization_id is None:
        raise NotFound("You look at no organization.")
    return Stream(_messages(call_events, actor.organization_id), media_type="text/event-stream")


async def _messages(events: CallEvents, organization_id: UUID) -> AsyncGenerator[bytes]:
    ends_at = time.monotonic() + LONGEST_SECONDS
    async with events.subscribed(organization_id) as queue:
        yield b": listening\nretry: 2000\n\n"
        while time.monotonic() < ends_at:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    happening = await queue.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            data = happening.model_dump_json(include={"call_id"}, exclude_none=True)
            yield f"event: {happening.kind}\ndata: {data}\n\n".encode()


HANDLERS: list[Any] = [stream_events]
