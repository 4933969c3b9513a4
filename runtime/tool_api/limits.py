"""Limits of every request, below the routes: its size, and the time until it is answered."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.errors import Unavailable
from runtime.tool_api.problems import of_error, problem

MAX_BODY_BYTES = 8 * 1024 * 1024
"""The report of a call of four hours is about 2 MiB."""


class BodyLimit:
    """Reads the body before the route sees it and refuses more than `max_bytes` by 413.

    Bodies are small and wanted whole anyway; so a sender who lies about the length is stopped as well.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await _too_large(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                await _too_large(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send)


class Deadline:
    """Answers 503 when a request takes longer than `seconds`: a hanging database must not hang a call.

    The answer does not wait for the request's end: a driver that is cancelled talks to the server first, and
    that is what hangs. What is given up is cancelled, kept until it has ended, and can send nothing more.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._given_up: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = given_up = False

        async def watched(message: Message) -> None:
            nonlocal started
            if not given_up:
                started = True
                await send(message)

        running = asyncio.ensure_future(self._run(scope, receive, watched))
        try:
            await asyncio.wait({running}, timeout=self._seconds)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if running.done():
            await running
            return
        given_up = True
        running.cancel()
        self._given_up.add(running)
        running.add_done_callback(self._forget)
        if not started:
            error = Unavailable("The request took too long.", remedy="Try again.")
            await of_error(error)(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # it was answered already; asking for it keeps the loop from complaining


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problem(413, "too_large", "The body is too large.", headers={"Connection": "close"})
    await answer(scope, receive, send)
