"""Who has a place at the recogniser, whatever the engine behind it does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models.stt import loop as loops
from models.stt.loop import RecogniserLoop, Request
from models.stt.protocol import Control, Piece


class Stream:
    def __init__(self) -> None:
        self.held = 0
        self.flushing = False
        self.audio_ms = 0
        self.decoding = self
        self.tokens: list[int] = []

    def hear(self, pcm: Any) -> None:
        self.held += pcm.size


class Engine:
    """Hears nothing before `go` is set, and then all of a stream in one step."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def language_of(self, wished: str) -> str:
        return wished or "en"

    def open(self, phrases: Any) -> Stream:
        return Stream()

    def begin_segment(self, stream: Stream) -> None:
        stream.audio_ms = 0

    def has_work(self, stream: Stream) -> bool:
        return stream.flushing or stream.held > 0

    def pieces(self, stream: Stream) -> list[Any]:
        return []

    def preflight(self, stream: Stream) -> list[Piece]:
        assert not self.has_work(stream), "asked before all was heard"
        return [Piece("\u2581foreseen", 40, 0.9)]

    def step(self, streams: list[Stream]) -> list[Stream]:
        if not self.go.wait(0.01):
            return []
        for stream in streams:
            stream.held, stream.flushing = 0, False
        return streams


class Reply:
    def __init__(self) -> None:
        self.results: list[str] = []
        self.failure = ""
        self.over = threading.Event()

    def result(self, text: str) -> None:
        self.results.append(text)

    def done(self) -> None:
        self.over.set()

    def error(self, kind: str, message: str) -> None:
        self.failure = f"{kind}: {message}"
        self.over.set()


Say = Callable[..., Reply]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def say(engine: Engine) -> Iterator[Say]:
    loop = RecogniserLoop(engine, max_streams=2, idle_seconds=60)
    loop.start()

    def submit(
        sequence: int,
        *,
        seconds: int = 1,
        start: bool = False,
        end: bool = False,
        flush: bool = False,
        preflight: bool = False,
    ) -> Reply:
        reply = Reply()
        pcm = np.zeros(seconds * 16_000, np.int16)
        loop.submit(Request(sequence, start, end, pcm, Control(flush=flush, preflight=preflight), reply))
        return reply

    try:
        yield submit
    finally:
        engine.go.set()
        loop.stop(20)


def test_a_stream_that_is_closed_is_free_at_once_whatever_of_it_still_waits(say: Say) -> None:
    replies = [say(1, start=True)] + [say(1, seconds=20) for _ in range(8)] + [say(2, start=True)]
    refused = say(3, start=True)
    assert refused.over.wait(30)
    assert "at capacity" in refused.failure
    last = say(1, end=True)
    assert last.over.wait(30)  # the engine has not heard a thing
    assert all(reply.over.wait(30) and not reply.failure for reply in replies[:9])
    newcomer = say(4, start=True)
    assert not newcomer.over.wait(0.3)
    assert not newcomer.failure


def test_a_final_result_that_is_owed_is_given_before_the_end(engine: Engine, say: Say) -> None:
    say(1, start=True)
    flushed = say(1, flush=True)
    ended = say(1, end=True)
    assert not ended.over.wait(0.3)
    engine.go.set()
    assert ended.over.wait(30)
    assert len(flushed.results) == 1


def test_a_silent_clients_place_is_given_to_a_newcomer(
    engine: Engine, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.go.set()
    gone, alive = say(1, start=True, seconds=0), say(2, start=True, seconds=0)
    assert gone.over.wait(30)
    assert alive.over.wait(30)
    monkeypatch.setattr(loops, "_GONE_SECONDS", 0.0)
    time.sleep(0.01)  # the clock must have moved
    say(2, seconds=0)
    newcomer = say(3, start=True, seconds=0)
    assert newcomer.over.wait(30)
    assert not newcomer.failure
    lost = say(1, seconds=0)
    assert lost.over.wait(30)
    assert "not known" in lost.failure
    still = say(2, seconds=0)
    assert still.over.wait(30)
    assert not still.failure


def test_what_a_flush_would_answer_is_told_when_all_before_it_is_heard(engine: Engine, say: Say) -> None:
    say(1, start=True)
    asked = say(1, preflight=True)
    assert not asked.over.wait(0.3)
    engine.go.set()
    assert asked.over.wait(30)
    (result,) = asked.results
    assert json.loads(result)["type"] == "preflight"
    assert json.loads(result)["text"] == "foreseen"
    flushed = say(1, flush=True)
    assert flushed.over.wait(30)
    assert json.loads(flushed.results[0])["type"] == "final"


def test_a_flush_overtakes_what_would_have_foretold_it(engine: Engine, say: Say) -> None:
    say(1, start=True)
    asked, flushed = say(1, preflight=True), say(1, flush=True)
    assert asked.over.wait(30)
    assert asked.results == []
    assert asked.failure == ""
    engine.go.set()
    assert flushed.over.wait(30)
    assert [json.loads(result)["type"] for result in flushed.results] == ["final"]


def test_a_stream_that_ends_takes_its_question_along(say: Say) -> None:
    say(1, start=True)
    asked, ended = say(1, preflight=True), say(1, end=True)
    assert asked.over.wait(30)
    assert ended.over.wait(30)
    assert asked.results == []
