"""Engines that hang, a caller who says nothing, a caller who leaves too early: real calls through a box.

Nothing here depends on how quick the machine is: the caller's own capture tells whether the agent spoke, what
it said is read from the transcript, and the longest silence is held to twice what is promised.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import PlacedCall, place_call

_LONGEST_SILENCE_SECONDS = 8.0
"""Promised are 4 s; a busy machine may take twice as long for everything."""


@contextmanager
def frozen(box: Box, part: str) -> Iterator[None]:
    """The part hangs: its processes are stopped, its sockets stay open."""
    pids = box.pids(part)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _longest_silence(call: PlacedCall, since_ns: int, until_ns: int) -> float:
    """The longest time without the agent's voice, in seconds, on the caller's own RTP."""
    longest, quiet_since = 0, since_ns
    while quiet_since < until_ns:
        speech = call.leg.heard.first_speech_after(quiet_since)
        if speech is None or speech > until_ns:
            speech = until_ns
        longest = max(longest, speech - quiet_since)
        quiet_since = speech + 100_000_000
    return longest / 1e9


@pytest.mark.parametrize("part", ["speech", "dialogue"])
async def test_an_engine_that_hangs_is_apologised_for_and_the_call_ends(box: Box, part: str) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        with frozen(box, part):
            utterance = await call.leg.speak("I would like to book an appointment please")
            await call.leg.ended(120)
            ended_ns = time.time_ns()
            silence = _longest_silence(call, utterance.last_speech_ns, ended_ns - 1_500_000_000)
        row = await call.finished(90)
        assert (row["outcome"], row["ended_by"]) == ("failed", "agent")
        said = await call.agent_text()
        assert "something went wrong on our side" in said
        assert "I cannot help you at the moment" in said
        assert silence < _LONGEST_SILENCE_SECONDS


async def test_a_caller_who_never_speaks_is_asked_and_then_left(box: Box) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.leg.ended(120)
        row = await call.finished(60)
        assert (row["outcome"], row["ended_by"]) == ("no_speech", "agent")
        said = await call.agent_text()
        assert said.index("Are you still there?") < said.index("I cannot hear you")


async def test_a_caller_who_leaves_during_a_tool_call_loses_nothing(box: Box) -> None:
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        call_id = await call.id()
        with frozen(box, "tool_api"):
            utterance = await call.leg.speak("what times do you have")
            await call.leg.hears_speech(60, since_ns=utterance.last_speech_ns)  # "One moment, please."
            await call.leg.hangup()
        row = await call.finished(60)
        assert (row["outcome"], row["ended_by"]) == ("caller_hung_up", "caller")
        turns = await call.records.turns(call_id)
        assert [turn["index"] for turn in turns] == list(range(len(turns)))
        actions = [done["action"] for turn in turns for done in turn["tool_calls"]]
        assert actions == ["check_availability"]
