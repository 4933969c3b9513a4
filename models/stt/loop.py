"""The one thread that owns the engine: it admits sequences, gathers their requests and answers each of them.

A request is answered through its own `Reply`, by the session that it belongs to; sessions are keyed by the
sequence's id, and nothing is shared between them. Pure but for the thread: any engine will do.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from appliance.errors import InvalidInput, TrunklineError
from models.stt.protocol import MAX_REQUEST_SECONDS, SAMPLE_RATE_HZ, Control, Piece, ResultKind, result_json

_log = structlog.get_logger(__name__)

AT_CAPACITY = "at capacity"
_MAX_WAITING_SAMPLES = 600 * SAMPLE_RATE_HZ
"""Audio of one sequence that waits for the engine."""
_MAX_INBOX = 2_000
"""Requests of one sequence that wait for the engine, whatever they hold."""
_HELD_SAMPLES = 60 * SAMPLE_RATE_HZ
"""The engine is given no more of one stream at a time."""
_FAILURES = (RuntimeError, MemoryError, ValueError, IndexError, TrunklineError)
"""Of an engine over its audio."""
_SWEEP_SECONDS = 0.5
_GONE_SECONDS = 4.0
"""When all places are taken, a stream whose client has sent nothing for so long (clients say something every
second) gives its own up to a newcomer at once."""


class Reply(Protocol):
    """How one request is answered: any number of results, then `done`; or one error."""

    def result(self, text: str) -> None: ...
    def done(self) -> None: ...
    def error(self, kind: str, message: str) -> None:
        """`kind`: capacity, invalid or unavailable."""
        ...


@dataclass
class Request:
    sequence: int
    start: bool
    end: bool
    pcm: NDArray[np.int16]
    control: Control
    reply: Reply
    at: float = 0.0
    """When it came, by the monotonic clock: a slow pass of the engine makes no client look silent."""


@dataclass
class _Session:
    stream: Any
    language: str
    inbox: deque[Request] = field(default_factory=deque[Request])
    unheard: list[Reply] = field(default_factory=list[Reply])
    """Answered when the engine has heard their audio."""
    preflight: Reply | None = None
    flush: Reply | None = None
    ending: Reply | None = None
    heard: tuple[int, int] = (0, 0)
    last_heard: float = 0.0

    @property
    def owes(self) -> bool:
        """Whether a final result is still to come."""
        return self.flush is not None or any(request.control.flush for request in self.inbox)

    def replies(self) -> Iterable[Reply]:
        yield from self.unheard
        for reply in (self.preflight, self.flush, self.ending):
            if reply is not None:
                yield reply
        yield from (request.reply for request in self.inbox)


class RecogniserLoop:
    """Serves at most `max_streams` sequences. `submit` may be called from any thread."""

    def __init__(
        self,
        engine: Any,
        *,
        max_streams: int,
        idle_seconds: float,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._max_streams = max_streams
        self._idle_seconds = idle_seconds
        self._draining = draining
        """Whether the server is about to stop: streams that are owed nothing are then ended."""
        self._sessions: dict[int, _Session] = {}
        self._requests: queue.Queue[Request | None] = queue.Queue(64 * max_streams + 1_024)
        self._swept = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recogniser", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request: Request) -> None:
        request.at = time.monotonic()
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            request.reply.error("capacity", f"{AT_CAPACITY}: too many requests wait.")

    def stop(self, seconds: float) -> None:
        """Ends the thread; requests under way have so long to be answered."""
        self._stopping.set()
        self._requests.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while not (self._stopping.is_set() and not self._busy()):
            self._gather()
            now = time.monotonic()
            if now - self._swept >= _SWEEP_SECONDS:
                self._swept = now
                self._sweep(now)
            streams = [s.stream for s in self._sessions.values() if self._engine.has_work(s.stream)]
            if streams:
                self._step(streams)
            self._preflights()
        for sequence in list(self._sessions):
            self._close(sequence, "unavailable", "The recogniser stops.")

    def _busy(self) -> bool:
        waits = any(s.flush or self._engine.has_work(s.stream) for s in self._sessions.values())
        return waits or not self._requests.empty()

    def _gather(self) -> None:
        """Takes what has come; waits for it when there is nothing to do."""
        idle = not any(self._engine.has_work(session.stream) for session in self._sessions.values())
        try:
            request = self._requests.get(timeout=_SWEEP_SECONDS) if idle else self._requests.get_nowait()
            while True:
                if request is not None:
                    self._take(request)
                request = self._requests.get_nowait()
        except queue.Empty:
            return

    def _take(self, request: Request) -> None:
        try:
            session = self._session(request)
            if request.pcm.size > MAX_REQUEST_SECONDS * SAMPLE_RATE_HZ:
                raise InvalidInput(f"A request has at most {MAX_REQUEST_SECONDS} s of audio.")
        except TrunklineError as error:
            request.reply.error("invalid", error.message)
            if request.sequence in self._sessions:
                self._close(request.sequence, "invalid", error.message)
            return
        if session is None:
            return
        session.last_heard = request.at
        if request.end and not request.control.flush and not session.owes:
            session.inbox.append(request)  # what waits to be heard is of no use to anybody
            self._ended(request.sequence, session)
            return
        waiting = sum(waits.pcm.size for waits in session.inbox) if session.inbox else 0
        if len(session.inbox) >= _MAX_INBOX or waiting > _MAX_WAITING_SAMPLES:
            message = "The stream is further ahead of the recogniser than can be held."
            self._close(request.sequence, "invalid", message)
            request.reply.error("invalid", message)
            return
        session.inbox.append(request)
        self._feed(request.sequence, session)

    def _session(self, request: Request) -> _Session | None:
        session = self._sessions.get(request.sequence)
        if request.start:
            if session is not None:
                raise InvalidInput("The sequence has begun already.")
            if len(self._sessions) >= self._max_streams and not self._place_of_a_gone_client(request.at):
                request.reply.error("capacity", f"{AT_CAPACITY}: all {self._max_streams} streams are taken.")
                return None
            language = self._engine.language_of(request.control.language)
            stream = self._engine.open(request.control.phrases)
            session = self._sessions[request.sequence] = _Session(stream, language)
        elif session is None:
            request.reply.error("unavailable", "The stream is not known: it was refused, idle or ended.")
        return session

    def _place_of_a_gone_client(self, now: float) -> bool:
        """Ends the stream that has been silent longest, if its client must be gone."""
        sequence, session = min(self._sessions.items(), key=lambda item: item[1].last_heard)
        if now - session.last_heard <= _GONE_SECONDS:
            return False
        _log.info("a client has gone, its place is given away", streams=len(self._sessions))
        self._close(sequence, "unavailable", "Nothing was said for too long.")
        return True

    def _feed(self, sequence: int, session: _Session) -> None:
        """Gives the engine what it may have: nothing behind a flush that is not answered yet."""
        while session.inbox and session.flush is None and session.stream.held < _HELD_SAMPLES:
            request = session.inbox.popleft()
            if request.pcm.size:
                session.stream.hear(request.pcm)
            session.ending = request.reply if request.end else None
            if request.control.flush:
                session.stream.flushing = True
                session.flush = request.reply
                self._overtake_preflight(session)
            elif request.control.preflight and not request.end:
                self._overtake_preflight(session)
                session.preflight = request.reply
            elif request.end:
                self._ended(sequence, session)
                return
            elif self._engine.has_work(session.stream):
                session.unheard.append(request.reply)
            else:
                request.reply.done()

    def _overtake_preflight(self, session: _Session) -> None:
        """A question that was not answered in time is of no use any more."""
        if session.preflight is not None:
            session.preflight.done()
            session.preflight = None

    def _preflights(self) -> None:
        """Answers what a final result would be, where all audio that came before the question is heard."""
        for session in self._sessions.values():
            reply = session.preflight
            if reply is None or self._engine.has_work(session.stream):
                continue
            session.preflight = None
            try:
                pieces = self._engine.preflight(session.stream)
            except _FAILURES as error:  # of a copy: the stream itself is as it was
                _log.warning("nothing was foreseen", error=type(error).__name__)
            else:
                reply.result(self._said(session, pieces, "preflight"))
            reply.done()

    def _ended(self, sequence: int, session: _Session) -> None:
        del self._sessions[sequence]
        self._finish(session, session.replies())

    def _finish(self, session: _Session, replies: Iterable[Reply]) -> None:
        for reply in dict.fromkeys(replies):
            reply.done()
        session.unheard.clear()

    def _step(self, streams: list[Any]) -> None:
        """One pass of the engine, and the answers that it allows. A failure is told to its streams alone."""
        by_stream = {id(session.stream): key for key, session in self._sessions.items()}
        try:
            moved = self._engine.step(streams)
        except _FAILURES as error:
            _log.error("recogniser failed", error=type(error).__name__, streams=len(streams))
            for stream in streams:
                self._close(by_stream[id(stream)], "unavailable", "The recogniser failed on this audio.")
            return
        for stream in moved:
            sequence = by_stream[id(stream)]
            self._answer(sequence, self._sessions[sequence])

    def _answer(self, sequence: int, session: _Session) -> None:
        stream = session.stream
        if session.flush is not None and not stream.flushing:
            session.flush.result(self._result(session, "final"))
            self._engine.begin_segment(stream)
            session.heard = (0, 0)
            flushed, session.flush = session.flush, None
            self._release(session)
            if session.ending is not None:
                self._ended(sequence, session)
                flushed.done()
                return
            flushed.done()
            self._feed(sequence, session)
        elif not self._engine.has_work(stream):
            text = self._result(session, "interim") if stream.decoding.tokens else ""
            if session.unheard and text and self._changed(session):
                session.unheard[-1].result(text)
            self._release(session)
            self._feed(sequence, session)

    def _changed(self, session: _Session) -> bool:
        tokens = session.stream.decoding.tokens  # of which the oldest may have been forgotten
        before, session.heard = session.heard, (len(tokens), tokens[-1].frame)
        return session.heard != before

    def _release(self, session: _Session) -> None:
        self._finish(session, session.unheard)

    def _result(self, session: _Session, kind: ResultKind) -> str:
        return self._said(session, self._engine.pieces(session.stream), kind)

    def _said(self, session: _Session, pieces: list[Piece], kind: ResultKind) -> str:
        return result_json(pieces, kind=kind, language=session.language, audio_ms=session.stream.audio_ms)

    def _sweep(self, now: float) -> None:
        """Frees the places of streams whose client has said nothing for too long: it has gone. (Triton would
        tell of cancelled requests, but a stream has none of them open between two pieces of its audio.)"""
        draining = self._draining()
        for sequence, session in list(self._sessions.items()):
            if now - session.last_heard > self._idle_seconds and not session.flush:
                _log.info("a client has gone", streams=len(self._sessions) - 1)
                self._close(sequence, "unavailable", f"Nothing was said for {self._idle_seconds:g} s.")

            elif draining and not session.flush and not session.inbox:
                self._close(sequence, "unavailable", "The recogniser stops.")

    def _close(self, sequence: int, kind: str, message: str) -> None:
        session = self._sessions.pop(sequence, None)
        if session is not None:
            for reply in dict.fromkeys(session.replies()):
                reply.error(kind, message)
