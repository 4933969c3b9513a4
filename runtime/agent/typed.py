"""What the caller types instead of saying it: messages of topic `lk.chat`, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from livekit import rtc

_log = structlog.get_logger(__name__)

_TOPIC = "lk.chat"
_MOST_WAITING = 8
"""Messages that wait while the agent answers; more are left out."""
_MOST_LETTERS = 2000
_READ_SECONDS = 10.0


class TypedWords:
    """Hears one caller's messages and gives each to `take`."""

    def __init__(self, room: rtc.Room, caller_identity: str, take: Callable[[str], Awaitable[None]]) -> None:
        self._caller = caller_identity
        self._take = take
        self._waiting: asyncio.Queue[rtc.TextStreamReader] = asyncio.Queue(_MOST_WAITING)
        room.register_text_stream_handler(_TOPIC, self._arrived)

    async def run(self) -> None:
        """Until it is cancelled; a message that breaks off is left out."""
        while True:
            reader = await self._waiting.get()
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    text = await _read(reader)
            except (rtc.StreamError, TimeoutError) as error:
                _log.warning("typed message not read", reason=type(error).__name__)
                continue
            finally:
                reader.close()
            if text:
                await self._take(text)

    def _arrived(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if identity == self._caller and not self._waiting.full():
            self._waiting.put_nowait(reader)
        else:
            reader.close()
            _log.warning("typed message left out", waiting=self._waiting.qsize())


async def _read(reader: rtc.TextStreamReader) -> str:
    pieces: list[str] = []
    length = 0
    async for piece in reader:
        pieces.append(piece)
        length += len(piece)
        if length >= _MOST_LETTERS:
            break
    return "".join(pieces)[:_MOST_LETTERS].replace("\x00", "").strip()
