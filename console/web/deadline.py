"""No request waits for ever: what has not begun to answer in time gets the page of a part that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from appliance.errors import Unavailable

SECONDS = 20.0
"""More than the database's own limit of a statement; a frozen server shows by nothing else."""


class Deadline(ASGIMiddleware):
    """Counts until the first byte: an event stream or an export may then take its time."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, answer: Callable[[Request[Any, Any, Any], Unavailable], Response[Any]]) -> None:
        self._answer = answer

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        began = False
        try:
            async with asyncio.timeout(SECONDS) as limit:

                async def send_in_time(message: Message) -> None:
                    nonlocal began
                    if not began:
                        began = True
                        limit.reschedule(None)
                    await send(message)

                await next_app(scope, receive, send_in_time)
        except TimeoutError:
            if began:
                raise
            request = Request[Any, Any, Any](scope)
            error = Unavailable("A part of the box did not answer in time.", remedy="Try again in a minute.")
            response = self._answer(request, error)
            await response.to_asgi_response(request.app, request)(scope, receive, send)
