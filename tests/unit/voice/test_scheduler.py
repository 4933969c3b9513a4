"""Who speaks next: first clauses first, together where it can be, and nobody who is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from appliance.errors import AtCapacity, InvalidInput, Unavailable
from models.tts.clause import Clause, Encoded, Manner, Samples
from models.tts.metrics import Metrics
from models.tts.scheduler import BACKGROUND, Scheduler

MANNER = Manner("", "en")


class Gated:
    """An engine that makes nothing before it is let: what a real one cannot be asked for."""

    name, version, sample_rate_hz = "gated", "1", 24_000
    speakers, languages = ("one",), ("en",)

    def __init__(self, max_batch: int) -> None:
        self.max_batch = max_batch
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.batches: list[list[str]] = []
        self.chunks = 0

    def encode(self, clause: Clause, manner: Manner) -> Encoded:
        return Encoded(clause.text, manner)

    def render(self, batch: Sequence[Encoded]) -> list[Samples]:
        self.begun.release()
        assert self.gate.acquire(timeout=60)
        self.batches.append([one.content for one in batch])
        if any(one.content == "broken" for one in batch):
            raise RuntimeError("out of memory, said with a caller's name")
        return [np.full(10, len(one.content), np.float32) for one in batch]

    def stream(self, encoded: Encoded) -> Iterator[Samples]:
        for _ in range(1000):
            assert self.gate.acquire(timeout=60)
            self.chunks += 1
            yield np.ones(10, np.float32)

    def memory_mib(self) -> float:
        return 0.0


@asynccontextmanager
async def scheduler(engine: Gated, queue_limit: int = 8) -> AsyncIterator[Scheduler]:
    made = Scheduler(engine, Metrics(), queue_limit=queue_limit)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        for _ in range(2000):
            engine.gate.release()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def say(one: Scheduler, text: str, **options: float | bool) -> list[Samples]:
    chunks = one.speak(Encoded(text, MANNER), **options)  # pyright: ignore[reportArgumentType]
    return [chunk async for chunk in chunks]


async def until(condition: object) -> None:
    async with asyncio.timeout(30):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_waits_is_made_together_and_each_gets_its_own():
    engine = Gated(8)
    async with scheduler(engine) as one:
        first = asyncio.create_task(say(one, "a"))
        await until(lambda: engine.begun.acquire(blocking=False))
        rest = [asyncio.create_task(say(one, "b" * n)) for n in range(2, 6)]
        await until(lambda: one.waiting == 4)
        for _ in range(2):
            engine.gate.release()
        sounds = await asyncio.gather(first, *rest)
    assert engine.batches == [["a"], ["bb", "bbb", "bbbb", "bbbbb"]]
    assert [float(sound[0][0]) for sound in sounds] == [1, 2, 3, 4, 5]


async def test_a_first_clause_goes_before_a_later_one_and_both_before_the_background():
    engine = Gated(1)
    async with scheduler(engine) as one:
        blocking = asyncio.create_task(say(one, "now"))
        await until(lambda: engine.begun.acquire(blocking=False))
        later = asyncio.create_task(say(one, "later", due=1e9, first=False))
        phrase = asyncio.create_task(say(one, "phrase", due=BACKGROUND, first=False))
        await until(lambda: one.waiting == 1)
        first = asyncio.create_task(say(one, "first"))
        await until(lambda: one.waiting == 2)
        for _ in range(4):
            engine.gate.release()
        await asyncio.gather(blocking, later, phrase, first)
    assert engine.batches == [["now"], ["first"], ["later"], ["phrase"]]


async def test_too_many_first_clauses_are_told_and_later_ones_wait():
    engine = Gated(1)
    async with scheduler(engine, queue_limit=2) as one:
        taken = [asyncio.create_task(say(one, "a"))]
        await until(lambda: engine.begun.acquire(blocking=False))
        taken += [asyncio.create_task(say(one, "b")) for _ in range(2)]
        await until(lambda: one.waiting == 2)
        with pytest.raises(AtCapacity):
            await say(one, "c")
        taken.append(asyncio.create_task(say(one, "d", first=False)))
        await until(lambda: one.waiting == 3)
        for _ in range(4):
            engine.gate.release()
        assert all(await asyncio.gather(*taken))


async def test_whoever_left_is_not_made():
    engine = Gated(1)
    async with scheduler(engine) as one:
        blocking = asyncio.create_task(say(one, "now"))
        await until(lambda: engine.begun.acquire(blocking=False))
        gone = asyncio.create_task(say(one, "gone"))
        stays = asyncio.create_task(say(one, "stays"))
        await until(lambda: one.waiting == 2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        for _ in range(3):
            engine.gate.release()
        await asyncio.gather(blocking, stays)
    assert engine.batches == [["now"], ["stays"]]


async def test_a_streaming_engine_stops_at_its_next_chunk():
    engine = Gated(0)
    async with scheduler(engine) as one:
        chunks = one.speak(Encoded("long", MANNER))
        engine.gate.release()
        await anext(chunks)
        await chunks.aclose()
        for _ in range(3):
            engine.gate.release()
        following = one.speak(Encoded("next", MANNER))
        await anext(following)
        await following.aclose()
    assert engine.chunks < 10


async def test_what_nobody_waits_for_is_given_up_for_a_caller():
    engine = Gated(0)
    async with scheduler(engine) as one:
        phrase = asyncio.create_task(say(one, "phrase", due=BACKGROUND, first=False))
        engine.gate.release()
        await until(lambda: engine.chunks == 1)
        caller = one.speak(Encoded("caller", MANNER))
        first = asyncio.create_task(anext(caller))
        await until(lambda: one.waiting == 1)
        for _ in range(2):
            engine.gate.release()
        assert (await first).size
        await caller.aclose()
        with pytest.raises(Unavailable):
            await phrase


async def test_an_engine_that_fails_tells_its_batch_and_serves_the_next():
    engine = Gated(1)
    async with scheduler(engine) as one:
        engine.gate.release()
        with pytest.raises(Unavailable) as told:
            await say(one, "broken")
        assert "caller" not in str(told.value)
        engine.gate.release()
        assert await say(one, "whole")


async def test_what_waits_when_it_ends_is_told():
    engine = Gated(1)
    async with scheduler(engine) as one:
        blocking = asyncio.create_task(say(one, "now"))
        await until(lambda: engine.begun.acquire(blocking=False))
        waiting = asyncio.create_task(say(one, "waits"))
        await until(lambda: one.waiting == 1)
        blocking.cancel()
    with pytest.raises((Unavailable, InvalidInput)):
        await waiting
