"""A stream to the recogniser that outlives its connection: what is not recognised yet is said again.

The audio since the last final result is kept. When the connection or the server is lost, the stream opens
another one and pushes it anew, with the flush that was owed; nobody who reads the results notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from appliance.clients.speech import STT_SAMPLE_RATE_HZ, SttResult, SttStream
from appliance.errors import Unavailable

_log = structlog.get_logger(__name__)

_KEPT_SECONDS = 120
"""Of a longer utterance the beginning is not said again."""
_BYTES_OF_A_MS = 2 * STT_SAMPLE_RATE_HZ // 1_000
_MAX_REPLAYS = 3
"""Of one utterance: audio that breaks a server must not break every other."""
_RETRY_SECONDS = 0.1


class ReplayedStream:
    """Like `SttStream`, which `connect` opens as often as it must, within `reconnect_seconds` of a loss.

    Iteration must go on while audio is pushed: the loss is noticed and mended there.
    """

    def __init__(self, connect: Callable[[], Awaitable[SttStream]], reconnect_seconds: float) -> None:
        self._connect = connect
        self._reconnect_seconds = reconnect_seconds
        self._inner: SttStream | None = None
        self._kept = bytearray()
        self._before_ms = 0
        """Audio of the stream that lies before what is kept."""
        self._inner_before_ms = 0
        """Audio of the stream that this connection has never been given."""
        self._flushes: list[int] = []
        """Bytes of `_kept` that each owed final covers."""
        self._ended = False
        self._failed: Exception | None = None
        self._replays = 0

    async def open(self) -> None:
        """The first connection. Unavailable when there is none."""
        self._inner = await self._connect()

    async def push(self, pcm: bytes) -> None:
        self._check()
        self._kept += pcm
        too_much = len(self._kept) - _KEPT_SECONDS * 1_000 * _BYTES_OF_A_MS
        if too_much > 0 and not self._flushes:
            self._drop(too_much // _BYTES_OF_A_MS * _BYTES_OF_A_MS)
        await self._pass_on(lambda stream: stream.push(pcm))

    async def flush(self) -> None:
        self._check()
        self._flushes.append(len(self._kept))
        await self._pass_on(lambda stream: stream.flush())

    async def preflight(self) -> None:
        """Is lost with its connection: the final result comes all the same."""
        self._check()
        await self._pass_on(lambda stream: stream.preflight())

    async def end(self) -> None:
        self._check()
        self._ended = True
        await self._pass_on(lambda stream: stream.end())

    def __aiter__(self) -> ReplayedStream:
        return self

    async def __anext__(self) -> SttResult:
        while True:
            if self._failed is not None:
                raise self._failed
            stream = self._inner
            assert stream is not None
            try:
                return self._told(await anext(stream))
            except Unavailable as error:
                if not stream.lost or self._replays >= _MAX_REPLAYS:
                    self._failed = error
                    raise
                await self._again(error)

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    async def _pass_on(self, act: Callable[[SttStream], Awaitable[None]]) -> None:
        """To the connection that there is; a lost one is replaced by the reader, who says it again."""
        stream = self._inner
        assert stream is not None
        try:
            await act(stream)
        except Unavailable:
            if not stream.lost:
                raise

    def _drop(self, size: int) -> None:
        del self._kept[:size]
        self._before_ms += size // _BYTES_OF_A_MS
        self._flushes = [at - size for at in self._flushes]

    def _told(self, result: SttResult) -> SttResult:
        shift = self._inner_before_ms
        if shift:
            words = tuple(
                replace(word, start_ms=word.start_ms + shift, end_ms=word.end_ms + shift)
                for word in result.words
            )
            result = replace(result, words=words, audio_ms=result.audio_ms + shift)
        if result.type == "final" and self._flushes:
            self._drop(self._flushes.pop(0))
            self._replays = 0
        return result

    async def _again(self, error: Unavailable) -> None:
        """Another connection, given all that was not answered. Raises the loss when there is none in time."""
        self._replays += 1
        _log.warning("recogniser lost, saying it again", kept_ms=len(self._kept) // _BYTES_OF_A_MS)
        try:
            async with asyncio.timeout(self._reconnect_seconds):
                await self._reconnect()
        except TimeoutError:
            self._failed = error
            raise error from None
        stream = self._inner
        assert stream is not None
        self._inner_before_ms = self._before_ms
        at = 0
        for flush_at in self._flushes:
            await stream.push(bytes(self._kept[at:flush_at]))
            await stream.flush()
            at = flush_at
        await stream.push(bytes(self._kept[at:]))
        if self._ended:
            await stream.end()

    async def _reconnect(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()
        while True:
            try:
                self._inner = await self._connect()
                return
            except Unavailable:
                await asyncio.sleep(_RETRY_SECONDS)
