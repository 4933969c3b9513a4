"""vLLM freezes, dies, or its caller disappears: the turn is answered all the same, nothing is left over."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing

import psutil

from appliance.clients.engine_facts import language_metrics
from appliance.clients.language import Finished, TextDelta
from provisioning.lite.box import Box
from tests.engines.llm.asking import answer, live, model_of, text, until
from tests.unit.engines.diary import SYSTEM, TOOLS

OPENING = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "i would like to book an appointment please"},
]
SCRIPTED = "Which day would you like?"


def _engine(box: Box) -> list[int]:
    """vLLM's own processes: the web server and those that compute."""
    return box.pids("language")[1:]


async def test_a_caller_who_disappears_stops_the_generation(random_box: Box) -> None:
    async with model_of(random_box) as model:
        stream = model.stream(OPENING, tools=TOOLS, max_tokens=400, temperature=1.0)
        async with aclosing(stream) as events:
            async for _ in events:
                break
        first = live(random_box)["in_flight"]

        async def free() -> bool:
            return live(random_box)["in_flight"] == 0

        await until(free, 30)
        counts = language_metrics(random_box.settings.language.base_url)
    assert first <= 1
    assert "vllm:num_requests_running" in counts
    running = next(line for line in counts.splitlines() if line.startswith("vllm:num_requests_running{"))
    assert float(running.rsplit(" ", 1)[1]) == 0.0


async def test_a_frozen_model_is_replaced_within_the_turn_and_comes_back(language_box: Box) -> None:
    pids = _engine(language_box)
    async with model_of(
        language_box, first_token_timeout_seconds=4.0, hedge_after_seconds=1.0, rest_seconds=1.0
    ) as model:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            frozen = await answer(model, OPENING[1:])
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)
        assert text(frozen) == SCRIPTED
        assert isinstance(frozen[-1], Finished)
        assert frozen[-1].served_by == "fallback"

        async def back() -> bool:
            last = (await answer(model, OPENING[1:]))[-1]
            return isinstance(last, Finished) and last.served_by == "main"

        await until(back, 60)


async def test_frozen_in_mid_answer_the_fallback_goes_on(random_box: Box) -> None:
    """Half a sentence was spoken: what follows comes from the other engine, in the same answer."""
    pids = _engine(random_box)
    pieces: list[str] = []
    last = None
    async with model_of(random_box, gap_timeout_seconds=3.0) as model:
        stream = model.stream(OPENING, tools=TOOLS, max_tokens=400, temperature=1.0)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        pieces.append(event.text)
                        if len(pieces) == 1:
                            for pid in pids:
                                os.kill(pid, signal.SIGSTOP)
                    last = event
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)
    assert "".join(pieces).endswith(SCRIPTED)
    assert len("".join(pieces)) > len(SCRIPTED)
    assert isinstance(last, Finished)
    assert last.served_by == "fallback"

    async def free() -> bool:
        return live(random_box)["in_flight"] == 0

    await until(free, 60)


async def test_killed_in_mid_answer_the_fallback_goes_on_and_nothing_is_left(random_box: Box) -> None:
    pids = _engine(random_box)
    pieces: list[str] = []
    async with model_of(random_box, gap_timeout_seconds=10.0) as model:
        async with aclosing(model.stream(OPENING, tools=TOOLS, max_tokens=400, temperature=1.0)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                    if len(pieces) == 1:
                        os.kill(pids[0], signal.SIGKILL)
        assert "".join(pieces).endswith(SCRIPTED)
        afterwards = await answer(model, OPENING[1:])
        assert text(afterwards) == SCRIPTED

    async def ended() -> bool:
        await asyncio.sleep(0)
        return not any(_runs(pid) for pid in pids)

    await until(ended, 60)
    random_box.stop("language")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
