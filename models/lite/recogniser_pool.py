"""Recogniser processes and the streams that are spread over them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import structlog

from appliance.errors import InvalidInput, TrunklineError, Unavailable
from models.lite import recogniser_process as protocol

_log = structlog.get_logger(__name__)
_MAX_WAITING_RESULTS = 256


class RecogniserStream:
    """One stream in one of the processes."""

    def __init__(self, process: _Process, number: int) -> None:
        self._process = process
        self._number = number
        self._results: asyncio.Queue[dict[str, Any] | TrunklineError] = asyncio.Queue(_MAX_WAITING_RESULTS)

    async def push(self, pcm: bytes) -> None:
        await self._process.send(protocol.AUDIO, self._number, pcm)

    async def flush(self) -> None:
        await self._process.send(protocol.FLUSH, self._number)

    async def preflight(self) -> None:
        await self._process.send(protocol.PREFLIGHT, self._number)

    async def result(self) -> dict[str, Any]:
        """The next result. Raises what the recogniser raised, or Unavailable when its process was lost."""
        result = await self._results.get()
        if isinstance(result, TrunklineError):
            raise result
        return result

    async def close(self) -> None:
        await self._process.close_stream(self._number)

    def deliver(self, result: dict[str, Any] | TrunklineError) -> None:
        if self._results.full():
            self._results.get_nowait()  # a reader that is far behind has no use for old interim results
        self._results.put_nowait(result)


class _Process:
    """A child process; started when first used and again when it was lost."""

    def __init__(self) -> None:
        self.streams: dict[int, RecogniserStream] = {}
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        async with self._starting:
            if self._child is not None and self._child.returncode is None:
                return
            await self._reap()
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                protocol.__name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # Matrices of a second of speech are small: more threads would only take the calls' cores.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
            self._reader = asyncio.create_task(self._read(self._child), name="recogniser-results")

    async def open(self, number: int, options: dict[str, Any]) -> RecogniserStream:
        stream = RecogniserStream(self, number)
        self.streams[number] = stream
        try:
            await self.start()
            await self.send(protocol.OPEN, number, json.dumps(options).encode())
        except BaseException:
            self.streams.pop(number, None)
            raise
        return stream

    async def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        child = self._child
        if number not in self.streams or child is None or child.stdin is None:
            raise Unavailable("The recogniser's process was lost.")
        try:
            child.stdin.write(protocol.HEADER.pack(kind, number, len(payload)) + payload)
            await child.stdin.drain()
        except ConnectionError as error:
            raise Unavailable("The recogniser's process was lost.") from error

    async def close_stream(self, number: int) -> None:
        if number in self.streams:
            try:
                await self.send(protocol.CLOSE, number)
            except Unavailable:
                _log.info("stream of a lost recogniser closed")
            finally:
                self.streams.pop(number, None)

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        try:
            while True:
                kind, number, length = protocol.HEADER.unpack(
                    await child.stdout.readexactly(protocol.HEADER.size)
                )
                message: dict[str, Any] = json.loads(await child.stdout.readexactly(length))
                stream = self.streams.get(number)
                if stream is not None:
                    stream.deliver(_failure(message) if kind == protocol.FAILED else message)
        except asyncio.IncompleteReadError:
            for stream in self.streams.values():
                stream.deliver(Unavailable("The recogniser's process was lost."))
            self.streams.clear()

    async def _reap(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def stop(self) -> None:
        child = self._child
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                await asyncio.wait_for(child.wait(), 3.0)
            except TimeoutError:
                child.kill()
                await child.wait()
        await self._reap()


def _failure(message: dict[str, Any]) -> TrunklineError:
    text = str(message.get("message", ""))
    return InvalidInput(text) if message.get("code") == InvalidInput.code else Unavailable(text)


class RecogniserPool:
    """Spreads streams over `processes` recogniser processes, the least busy first."""

    def __init__(self, processes: int) -> None:
        self._processes = [_Process() for _ in range(processes)]
        self._numbers = itertools.count(1)

    async def open(self, *, language: str, phrases: Sequence[str]) -> RecogniserStream:
        process = min(self._processes, key=lambda process: len(process.streams))
        number = next(self._numbers) % 2**32
        return await process.open(number, {"language": language, "phrases": list(phrases)})

    async def start(self) -> None:
        await asyncio.gather(*(process.start() for process in self._processes))

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._processes))
