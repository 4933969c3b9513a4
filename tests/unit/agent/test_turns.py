"""The log of turns: what was said, when, and how long each stage took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.turns import TurnLog, outcome_of_tools

T0 = 1_790_000_000.0


def test_a_turn_carries_its_words_tools_and_stamps() -> None:
    log = TurnLog()
    log.mark("first_audio_out", T0 + 99.0)
    log.agent_said("Welcome.", at=T0 + 100.0)
    log.mark("vad_end", T0 + 110.3, speculative=True)
    log.mark("stt_final", T0 + 110.35, speculative=True)
    log.answer_begins(speculative=True)
    log.mark("llm_first_token", T0 + 110.4, speculative=True)
    log.caller_said("An appointment please", started_at=T0 + 108.0, stopped_at=T0 + 110.0)
    log.mark("end_of_turn", T0 + 110.45)
    log.mark("first_clause", T0 + 110.5)
    log.mark("tts_first_audio", T0 + 110.55)
    log.mark("first_audio_out", T0 + 110.6)
    log.tool_called({"action": "check_availability"}, at=T0 + 110.7)
    log.agent_said("On Tuesday", at=T0 + 110.6)
    log.agent_said("at nine?", at=T0 + 112.0, interrupted=True)
    greeting, turn = log.turns
    assert (greeting.index, greeting.caller_text, greeting.agent_text, greeting.stamps) == (
        0,
        "",
        "Welcome.",
        {},
    )
    assert (turn.index, turn.caller_text, turn.agent_text) == (
        1,
        "An appointment please",
        "On Tuesday at nine?",
    )
    assert turn.interrupted
    assert turn.tool_calls == ({"action": "check_availability"},)
    assert turn.stamps == {
        "vad_end": 300.0,
        "stt_final": 350.0,
        "llm_first_token": 400.0,
        "end_of_turn": 450.0,
        "first_clause": 500.0,
        "tts_first_audio": 550.0,
        "first_audio_out": 600.0,
    }


def test_a_thrown_away_answer_leaves_no_stamps_and_a_heard_one_keeps_them() -> None:
    log = TurnLog()
    log.answer_begins(speculative=True)
    log.mark("llm_first_token", T0 + 1.0, speculative=True)
    log.answer_begins(speculative=True)
    log.mark("llm_first_token", T0 + 2.0, speculative=True)
    log.caller_said("yes", started_at=T0 + 0.0, stopped_at=T0 + 1.0)
    assert log.turns[0].stamps == {"llm_first_token": 1000.0}
    log.mark("first_audio_out", T0 + 2.5)
    log.answer_begins(speculative=False)
    log.mark("llm_first_token", T0 + 5.0)
    assert log.turns[0].stamps == {"llm_first_token": 1000.0, "first_audio_out": 1500.0}


def test_only_what_changed_is_posted_again() -> None:
    log = TurnLog(first_index=7)
    log.caller_said("hello", started_at=T0 + 0.0, stopped_at=T0 + 1.0)
    assert [turn.index for turn in log.take_changed()] == [7]
    assert log.take_changed() == []
    log.agent_said("good morning", at=T0 + 2.0)
    assert [turn.agent_text for turn in log.take_changed()] == ["good morning"]


def test_a_later_worker_counts_on() -> None:
    log = TurnLog()
    log.continue_from(3)
    log.agent_said("Sorry.", at=T0 + 1.0)
    assert log.turns[0].index == 3


def test_segments_are_in_order_and_within_bounds() -> None:
    log = TurnLog()
    log.spoke("agent", "second", starts_ms=500, ends_ms=400)
    log.spoke("caller", "first", starts_ms=-20, ends_ms=100, confidence=1.7)
    log.spoke("caller", "  ", starts_ms=0, ends_ms=1)
    first, second = log.segments
    assert (first.text, first.starts_ms, first.confidence) == ("first", 0, 1.0)
    assert second.ends_ms >= second.starts_ms


def test_the_outcome_of_tools() -> None:
    assert outcome_of_tools([]) is None
    assert outcome_of_tools(["check_availability", "end_call"]) is None
    assert outcome_of_tools(["create_order", "create_booking"]) == "booked"
    assert outcome_of_tools(["create_order"]) == "ordered"


@given(st.lists(st.sampled_from(["caller", "agent", "tool", "mark", "post"]), max_size=60))
def test_every_change_is_posted_and_indexes_are_without_gaps(events: list[str]) -> None:
    log = TurnLog()
    posted: dict[int, object] = {}
    for number, event in enumerate(events):
        if event == "caller":
            log.caller_said(f"c{number}", started_at=T0 + number, stopped_at=None)
        elif event == "agent":
            log.agent_said(f"a{number}", at=T0 + number)
        elif event == "tool":
            log.tool_called({"n": number}, at=T0 + number)
        elif event == "mark":
            log.mark("first_audio_out", T0 + number)
        else:
            posted.update({turn.index: turn for turn in log.take_changed()})
    posted.update({turn.index: turn for turn in log.take_changed()})
    assert [turn.index for turn in log.turns] == list(range(len(log.turns)))
    assert [turn.index for turn in log.turns] == sorted(posted)
    for turn in log.turns:
        assert posted[turn.index].model_copy(update={"stamps": {}}) == turn.model_copy(update={"stamps": {}})  # type: ignore[attr-defined]
