"""The booking caller answers what it is asked, in any order, and finds its way around a taken slot."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.caller.persona import BookingCaller, booking_caller, offered_times


def caller() -> BookingCaller:
    return BookingCaller("thursday", "ten o'clock", "John Smith")


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        ("This call is recorded. How can I help you?", "I would like to book an appointment please"),
        ("Sure. On which day would you like to come?", "on thursday"),
        ("At what time would suit you?", "at ten o'clock"),
        ("May I have your name, please?", "my name is john smith"),
        ("Thursday at ten for John Smith. Is that right?", "yes please"),
        ("I still did not understand. Shall I put you through to a person?", "no"),
        ("You are booked. Is there anything else I can do for you?", "no thank you goodbye"),
    ],
)
def test_each_question_has_its_answer(agent: str, line: str) -> None:
    assert caller().reply(agent) == line


def test_goodbye_ends_it() -> None:
    assert caller().reply("Thank you for calling. Goodbye.") is None


def test_a_taken_time_is_exchanged_for_an_offered_one() -> None:
    persona = caller()
    assert persona.reply("What time would you like?") == "at ten o'clock"
    answer = "Ten o'clock is not free. I have nine thirty, half past eleven, or 14:00. Which would you like?"
    assert persona.reply(answer) == "at nine thirty"
    assert persona.reply(answer) == "at eleven thirty"
    assert persona.reply(answer) == "at two o'clock"


def test_what_was_not_understood_is_said_again_but_not_for_ever() -> None:
    persona = caller()
    persona.reply("How can I help you?")
    said = [persona.reply("I am sorry?") for _ in range(5)]
    assert said[0] == "I would like to book an appointment please"
    assert said[-1] == "goodbye"


def test_a_wrong_day_or_name_is_objected_to_once() -> None:
    persona = caller()
    wrong = "Tuesday at ten o'clock, for Mary Miller. Is that right?"
    assert persona.reply(wrong) == "no"
    assert persona.reply("What should I change, the day, the time or the name?") == "on thursday"
    assert persona.reply("Thursday at ten o'clock, for Mary Miller. Is that right?") == "no"
    assert persona.reply("What should I change, the day, the time or the name?") == "my name is john smith"
    assert persona.reply("Thursday at ten o'clock, for Mary Miller. Is that right?") == "yes please"


def test_a_wrong_time_is_objected_to() -> None:
    persona = caller()
    assert persona.reply("Which time would you like?") == "at ten o'clock"
    assert persona.reply("Thursday at two o'clock, for John Smith. Is that right?") == "no"
    assert persona.reply("What should I change, the day, the time or the name?") == "at ten o'clock"
    assert persona.reply("Thursday at ten o'clock, for John Smith. Is that right?") == "yes please"


def test_without_the_agents_words_it_goes_on_in_order() -> None:
    persona = caller()
    lines = [persona.reply("") for _ in range(6)]
    assert lines == [
        "I would like to book an appointment please",
        "on thursday",
        "at ten o'clock",
        "my name is john smith",
        "yes please",
        "goodbye",
    ]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_agent_is_survived(texts: list[str]) -> None:
    persona = caller()
    lines = [persona.reply(text) for text in texts]
    assert all(line is None or line for line in lines)


def test_offered_times_are_read_in_words_and_figures() -> None:
    assert offered_times("I have nine thirty, ten o'clock and 13:30 or half past two") == [
        "nine thirty",
        "ten o'clock",
        "one thirty",
        "two thirty",
    ]


@given(st.integers(0, 400))
def test_many_callers_want_different_working_days(ahead: int) -> None:
    today = date(2026, 1, 1) + timedelta(days=ahead)
    wanted = {
        (persona.day, persona.time) for persona in (booking_caller(index, today) for index in range(40))
    }
    assert len(wanted) == 40
