"""What is said, as text in the room while it is said: for callers who have a screen.

Streams of topic `lk.transcription`, as LiveKit's own clients read them: what the agent says comes from the
agent, what was recognised of the caller in the caller's name. They are written by one task, so that no slow
room holds up the conversation.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import structlog
from livekit import rtc
from livekit.agents.voice import io
from typing_extensions import override

_log = structlog.get_logger(__name__)

_TOPIC = "lk.transcription"
_SEGMENT = "lk.segment_id"
_FINAL = "lk.transcription_final"
_SPEAKER = "trunkline.speaker"
_MOST_WAITING = 500
"""Pieces of text that wait for the room; more are left out, as the transcript has them anyhow."""
_SEND_SECONDS = 5.0


@dataclass(frozen=True)
class _Piece:
    """`text` of the agent (None: the sentence ends), or what was recognised of the caller in `segment`."""

    text: str | None
    segment: str = ""
    final: bool = False


class Captions(io.TextOutput):
    """Gets the agent's words from the session and hands them on to `after`. Nothing waits for the room."""

    def __init__(self, room: rtc.Room, caller_identity: str, after: io.TextOutput) -> None:
        super().__init__(label="captions", next_in_chain=after)
        self._room = room
        self._caller = caller_identity
        self._after = after
        self._waiting: asyncio.Queue[_Piece] = asyncio.Queue(_MOST_WAITING)
        self._heard_segment = ""
        self._writer: rtc.TextStreamWriter | None = None

    @override
    async def capture_text(self, text: str) -> None:
        self._offer(_Piece(text))
        await self._after.capture_text(text)

    @override
    def flush(self) -> None:
        self._offer(_Piece(None))
        self._after.flush()

    def said(self, text: str) -> None:
        """The agent said this outside of the session."""
        self._offer(_Piece(None))
        self._offer(_Piece(text))
        self._offer(_Piece(None))

    def heard(self, text: str, *, final: bool) -> None:
        """So much was recognised of what the caller says; each time the whole utterance so far."""
        if not self._heard_segment:
            self._heard_segment = f"caller-{uuid4().hex[:12]}"
        self._offer(_Piece(text, self._heard_segment, final))
        if final:
            self._heard_segment = ""

    async def run(self) -> None:
        """Writes what waits, until it is cancelled."""
        while True:
            piece = await self._waiting.get()
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await self._send(piece)
            except Exception as error:  # the SDK raises bare exceptions
                self._writer = None
                _log.warning("caption not sent", reason=type(error).__name__)

    async def _send(self, piece: _Piece) -> None:
        if piece.segment:
            await self._write_heard(piece)
        elif piece.text is None:
            writer, self._writer = self._writer, None
            if writer is not None:
                await writer.aclose(attributes={_FINAL: "true"})
        else:
            if self._writer is None:
                segment = f"agent-{uuid4().hex[:12]}"
                self._writer = await self._open({_SEGMENT: segment, _FINAL: "false", _SPEAKER: "agent"})
            await self._writer.write(piece.text)

    async def _write_heard(self, piece: _Piece) -> None:
        final = "true" if piece.final else "false"
        attributes = {_SEGMENT: piece.segment, _FINAL: final, _SPEAKER: "caller"}
        writer = await self._open(attributes, sender=self._caller)
        await writer.write(piece.text or "")
        await writer.aclose()

    async def _open(self, attributes: dict[str, str], sender: str | None = None) -> rtc.TextStreamWriter:
        return await self._room.local_participant.stream_text(
            topic=_TOPIC,
            attributes=attributes,
            destination_identities=[self._caller],
            sender_identity=sender,
        )

    def _offer(self, piece: _Piece) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(piece)
