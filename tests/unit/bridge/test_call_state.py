"""The state machine of a call: no sequence of events leaks, hangs or ends twice."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.sip.call_events import (
    NO_ANSWER,
    NORMAL_CLEARING,
    Action,
    Admitted,
    CallerGone,
    Consult,
    Do,
    Event,
    Refuse,
    Refused,
    Release,
    Simple,
    Speak,
    TransferAsked,
)
from runtime.sip.call_state import CallState, Limits, Phase, deadline_seconds, inbound, outbound, step

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from(Simple),
    st.builds(Admitted, st.booleans()),
    st.builds(Refused, st.sampled_from([302, 404, 486, 503])),
    st.builds(CallerGone, st.sampled_from([16, 17, 127])),
    st.builds(TransferAsked, st.just("201")),
)
BEGINNINGS = st.one_of(
    st.builds(inbound, max_losses=st.integers(1, 3)).map(lambda state: (state, ())),
    st.builds(outbound, can_escalate=st.booleans(), max_losses=st.integers(1, 3)),
)
careful = settings(max_examples=150, deadline=None, derandomize=True)


def run(state: CallState, *events: Event) -> tuple[CallState, list[Action]]:
    done: list[Action] = []
    for event in events:
        state, actions = step(state, event)
        done += actions
    return state, done


READY = (Admitted(True), Simple.ROOM_JOINED, Simple.MEDIA_READY, Simple.AGENT_READY)
TALKING = (*READY, Simple.CALLER_UP)


@careful
@given(BEGINNINGS, st.lists(EVENTS, max_size=40))
def test_every_call_is_released_exactly_once_and_last(
    beginning: tuple[CallState, tuple[Action, ...]], events: list[Event]
) -> None:
    state, done = beginning[0], list(beginning[1])
    for event in (*events, CallerGone(16), *events):
        state, actions = step(state, event)
        done += actions
    assert state.phase is Phase.ENDED
    assert [isinstance(action, Release) for action in done].count(True) == 1
    assert isinstance(done[-1], Release)


@careful
@given(BEGINNINGS, st.lists(EVENTS, max_size=40))
def test_deadlines_alone_end_every_call(
    beginning: tuple[CallState, tuple[Action, ...]], events: list[Event]
) -> None:
    state, _ = run(beginning[0], *events)
    for _ in range(10):
        if state.phase is Phase.ENDED:
            break
        # What answers to the bridge's own doing never comes: only time passes.
        state, _ = step(state, Simple.LATE)
    assert state.phase is Phase.ENDED


def test_time_alone_ends_a_call_from_every_state_there_is() -> None:
    for phase, flags in product(Phase, product([False, True], repeat=7)):
        escalates, up, room, media, agent, asked, is_outbound = flags
        state = CallState(phase, escalates, 2, up, room, media, agent, asked, is_outbound)
        for _ in range(10):
            state, _ = step(state, Simple.LATE)
        assert state.phase is Phase.ENDED, (phase, flags)


@careful
@given(BEGINNINGS, st.lists(EVENTS, max_size=40))
def test_a_waiting_phase_has_a_deadline(
    beginning: tuple[CallState, tuple[Action, ...]], events: list[Event]
) -> None:
    state, _ = run(beginning[0], *events)
    has_deadline = deadline_seconds(state, Limits()) is not None
    assert has_deadline == (state.phase not in (Phase.TALKING, Phase.JOINED, Phase.ENDED))


@careful
@given(st.lists(EVENTS, max_size=40))
def test_nothing_is_made_before_the_call_is_admitted(events: list[Event]) -> None:
    state = inbound()
    for event in events:
        if isinstance(event, Admitted):
            break
        state, actions = step(state, event)
        assert all(isinstance(action, Refuse | Release) or action is Do.FALL_BACK for action in actions)


@careful
@given(st.lists(EVENTS, max_size=40), st.booleans())
def test_a_talk_needs_room_media_and_agent(events: list[Event], is_outbound: bool) -> None:
    state = outbound(can_escalate=True)[0] if is_outbound else inbound()
    for event in events:
        state, actions = step(state, event)
        if Do.BEGIN in actions:
            assert state.phase is Phase.TALKING
            assert state.caller_up
            assert state.room_up
            assert state.agent_ready


def test_a_call_is_answered_only_when_the_agent_is_there() -> None:
    state, done = run(inbound(), Admitted(False), Simple.MEDIA_READY, Simple.ROOM_JOINED)
    assert done == [Do.PREPARE]
    state, done = run(state, Simple.AGENT_READY)
    assert done == [Do.ANSWER]
    state, done = run(state, Simple.CALLER_UP)
    assert (state.phase, done) == (Phase.TALKING, [Do.BEGIN])


@pytest.mark.parametrize("status", [302, 404, 486, 503])
def test_a_refusal_is_passed_on(status: int) -> None:
    state, done = run(inbound(), Refused(status))
    assert done[0] == Refuse(status)
    assert state.phase is Phase.ENDED


def test_no_room_is_a_503_before_the_answer() -> None:
    _, done = run(inbound(), Admitted(True), Simple.ROOM_FAILED)
    assert Refuse(503) in done


def test_a_lost_agent_is_followed_by_the_next_and_then_by_a_human() -> None:
    state, _ = run(inbound(), *TALKING)
    state, done = run(state, Simple.AGENT_LOST)
    assert done == [Speak("one_moment"), Do.REDISPATCH]
    state, done = run(state, Simple.AGENT_READY)
    assert (state.phase, done) == (Phase.TALKING, [Do.BEGIN])
    state, done = run(state, Simple.AGENT_LOST)
    assert (state.phase, done) == (Phase.CONSULTING, [Consult()])
    state, done = run(state, Simple.TARGET_ANSWERED)
    assert (state.phase, done) == (Phase.JOINED, [Do.JOIN])


def test_without_a_human_the_last_sentence_is_spoken_to_its_end() -> None:
    state, _ = run(inbound(max_losses=1), Admitted(False), *TALKING[1:])
    state, done = run(state, Simple.AGENT_LOST)
    assert done == [Speak("cannot_continue", last=True)]
    _, done = run(state, Simple.LAST_WORDS_SPOKEN)
    assert isinstance(done[-1], Release)


def test_a_failed_transfer_gives_the_caller_back() -> None:
    state, done = run(inbound(), *TALKING, TransferAsked("201"))
    assert done[-1] == Consult("201")
    state, done = run(state, Simple.TARGET_FAILED)
    assert (state.phase, done) == (Phase.TALKING, [Do.GIVE_BACK, Do.BEGIN])


def test_an_agent_that_comes_while_a_human_is_called_in_its_stead_takes_the_call() -> None:
    state, _ = run(inbound(max_losses=1), *TALKING, Simple.AGENT_LOST)
    assert state.phase is Phase.CONSULTING
    state, done = run(state, Simple.AGENT_READY)
    assert (state.phase, done) == (Phase.TALKING, [Do.GIVE_BACK, Do.BEGIN])
    # The human's telephone is hung up; what it still says, even that it has answered, changes nothing.
    state, done = run(state, Simple.TARGET_ANSWERED, Simple.TARGET_FAILED, Simple.TARGET_GONE)
    assert (state.phase, done) == (Phase.TALKING, [])


def test_a_human_who_answers_before_the_next_agent_comes_keeps_the_caller() -> None:
    state, _ = run(inbound(max_losses=1), *TALKING, Simple.AGENT_LOST, Simple.TARGET_ANSWERED)
    state, done = run(state, Simple.AGENT_READY)
    assert (state.phase, done) == (Phase.JOINED, [])


def test_an_agent_that_is_ready_anew_does_not_end_the_transfer_that_it_asked_for() -> None:
    state, _ = run(inbound(), *TALKING, TransferAsked("201"))
    state, done = run(state, Simple.AGENT_READY)
    assert (state.phase, done) == (Phase.CONSULTING, [])


def test_an_agent_lost_while_the_human_is_called_is_replaced_when_the_human_does_not_answer() -> None:
    state, done = run(inbound(), *TALKING, TransferAsked("201"), Simple.AGENT_LOST, Simple.TARGET_FAILED)
    assert state.phase is Phase.RECOVERING
    assert done[-3:] == [Do.GIVE_BACK, Speak("one_moment"), Do.REDISPATCH]


def test_a_caller_who_is_connected_with_a_human_outlives_the_agent() -> None:
    state, _ = run(inbound(), *TALKING, TransferAsked("201"), Simple.TARGET_ANSWERED)
    for event in (Simple.AGENT_FINISHED, Simple.AGENT_LOST, Simple.ROOM_LOST, Simple.MEDIA_LOST):
        state, _ = run(state, event)
        assert state.phase is Phase.JOINED
    state, done = run(state, Simple.TARGET_GONE)
    assert done == [Release("gateway", NORMAL_CLEARING)]


def test_nobody_answers_an_outbound_call() -> None:
    state, done = outbound(can_escalate=False)
    assert done == (Do.DIAL,)
    state, _ = run(state, Simple.CALLEE_RINGING, Simple.ROOM_JOINED, Simple.MEDIA_READY, Simple.AGENT_READY)
    assert state.phase is Phase.PREPARING
    _, done = run(state, Simple.LATE)
    assert done == [Release("bridge", NO_ANSWER)]


def test_the_agent_of_an_outbound_call_begins_when_the_callee_is_up() -> None:
    state, _ = outbound(can_escalate=False)
    state, done = run(
        state,
        Simple.CALLEE_RINGING,
        Simple.ROOM_JOINED,
        Simple.MEDIA_READY,
        Simple.AGENT_READY,
        Simple.CALLER_UP,
    )
    assert (state.phase, done) == (Phase.TALKING, [Do.PREPARE, Do.BEGIN])
