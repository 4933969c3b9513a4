"""The clocks of a call together: what is due is told, and nothing when it must not be."""

from __future__ import annotations

from appliance.agents.domain import AgentSnapshot, CallLimits, Silence
from runtime.agent.pulse import Pulse


class _Told:
    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.names.append(" ".join([name, *arguments]))


class _World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.told = _Told()
        snapshot = AgentSnapshot(
            name="Reception",
            prompt="You answer.",
            greeting="Hello.",
            silence=Silence(prompt_after_seconds=8, end_after_seconds=6),
            limits=CallLimits(max_duration_seconds=300),
        )
        self.pulse = Pulse(snapshot, self.told, clock=lambda: self.now)  # type: ignore[arg-type]

    def passes(self, seconds: float) -> list[str]:
        """What is told while the time passes, in tenths of a second."""
        self.told.names.clear()
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.pulse.look()
        return self.told.names


def test_a_silent_caller_while_the_agent_is_quiet() -> None:
    world = _World()
    assert world.passes(100) == []
    world.pulse.start()
    assert world.passes(7.8) == []
    assert world.passes(0.4) == ["caller_is_silent"]
    assert world.passes(6.2) == ["caller_stays_silent"]


def test_an_answer_that_does_not_come() -> None:
    world = _World()
    world.pulse.start()
    world.pulse.answer_owed(True)
    assert world.passes(1.8) == ["answer_is_slow"]
    assert world.passes(10.5)[-1] == "answer_is_lost"


def test_an_answer_in_time_brings_nothing() -> None:
    world = _World()
    world.pulse.start()
    world.pulse.answer_owed(True)
    assert world.passes(1.0) == []
    world.pulse.agent_audible(True, world.now)
    assert world.passes(20) == []
    world.pulse.agent_audible(False, world.now)
    world.pulse.answer_owed(False)
    assert world.passes(7.5) == []


def test_a_held_call_only_runs_out_of_time() -> None:
    world = _World()
    world.pulse.start()
    world.pulse.held(True)
    assert world.passes(301) == ["time_is_short", "time_is_short", "time_is_over"]


def test_keys_are_input_and_a_sign_of_life() -> None:
    world = _World()
    world.pulse.start()
    assert world.passes(7) == []
    world.pulse.key_pressed("4")
    world.pulse.key_pressed("#")
    assert world.passes(7) == ["keys_entered 4#"]


def test_after_the_stop_nothing_is_due() -> None:
    world = _World()
    world.pulse.start()
    world.pulse.answer_owed(True)
    world.pulse.stop()
    assert world.passes(400) == []
