"""The bridge loses Asterisk's REST interface and its events for a while: calls in progress go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call
from tests.integration.bridge.conftest import bridge_state, nothing_is_left
from tests.integration.bridge.room_agent import Agents, until
from tests.integration.bridge.test_calls import conversation, ended


class Line:
    """A TCP relay to Asterisk's REST interface that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            self._writers -= {writer, back}
            writer.close()
            back.close()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def line(box: Box) -> AsyncIterator[Line]:
    """The bridge reaches Asterisk by this line only."""
    await asyncio.to_thread(box.start, "bridge")
    line = Line(box.ports["ari"])
    usual = dict(box.overrides)
    box.overrides["gateway.ari_url"] = f"http://127.0.0.1:{await line.start()}"
    box.prepare()
    await asyncio.to_thread(box.restart, "bridge")
    yield line
    line.mend()
    box.overrides.clear()
    box.overrides |= usual
    box.prepare()
    await asyncio.to_thread(box.restart, "bridge")
    await line.stop()


def _ready(box: Box) -> bool:
    return bool(box.status()["bridge"]["ready"])


async def test_a_call_goes_on_without_asterisks_events(line: Line, box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        line.cut()
        await until(lambda: asyncio.to_thread(lambda: not _ready(box)))
        said = await call.leg.speak("do you still hear me")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)
        line.mend()
        await until(lambda: asyncio.to_thread(_ready, box))
        await call.leg.send_dtmf("8")
        await until(lambda: agent.digits == ["8"])
        assert await agent.rpc("trunkline.hangup", {"reason": "done"}) == {}
        await call.leg.ended()


async def test_a_caller_who_left_unseen_is_noticed_at_the_reconnect(
    line: Line, box: Box, agents: Agents
) -> None:
    async with place_call(box, start=False) as call:
        await conversation(call, agents)
        line.cut()
        await until(lambda: asyncio.to_thread(lambda: not _ready(box)))
        await call.leg.hangup()
        assert (await asyncio.to_thread(bridge_state, box))["calls"]
        line.mend()
        await ended(call)
    await nothing_is_left(box)
