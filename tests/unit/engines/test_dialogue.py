"""Whole telephone conversations with the scripted dialogue engine."""

from __future__ import annotations

import pytest

from tests.unit.engines.diary import Conversation, Diary

TUESDAY, FRIDAY = "2026-11-24", "2026-11-27"


def talk(*lines: str, diary: Diary | None = None) -> tuple[Conversation, list[str]]:
    conversation = Conversation(diary or Diary())
    return conversation, [conversation.say(line) for line in lines]


def booking(conversation: Conversation) -> tuple[str, str, str]:
    (made,) = conversation.of("create_booking")
    return made["date"], made["time"], made["name"]


BOOKINGS = {
    "one thing at a time": (
        [
            "i would like to book an appointment please",
            "on tuesday",
            "at nine o'clock",
            "my name is john smith",
            "yes please",
        ],
        (TUESDAY, "09:00", "John Smith"),
    ),
    "all at once": (
        ["hello i'd like a check up on tuesday at half past ten please", "emma wilson", "yes that's right"],
        (TUESDAY, "10:30", "Emma Wilson"),
    ),
    "the day first": (["tuesday", "two o'clock", "it's anna", "correct"], (TUESDAY, "14:00", "Anna")),
    "a changed mind about the day": (
        ["book an appointment", "tuesday at nine", "anna brown", "no make it friday", "yes"],
        (FRIDAY, "09:00", "Anna Brown"),
    ),
    "a changed mind about both": (
        [
            "book an appointment",
            "tuesday at nine",
            "anna brown",
            "actually can we make it friday at two",
            "yes",
        ],
        (FRIDAY, "14:00", "Anna Brown"),
    ),
    "no, and what is wrong when asked": (
        ["book an appointment", "tuesday at nine", "john", "no", "the time", "three o'clock", "yes"],
        (TUESDAY, "15:00", "John"),
    ),
    "the name was misheard": (
        ["book an appointment", "tuesday at nine", "jon", "no", "the name", "my name is tom hill", "yes"],
        (TUESDAY, "09:00", "Tom Hill"),
    ),
    "a time that is taken": (
        ["an appointment on tuesday", "at ten o'clock", "ten thirty then", "tom hill", "yes"],
        (TUESDAY, "10:30", "Tom Hill"),
    ),
    "a closed day": (
        ["an appointment on sunday please", "tuesday then", "nine o'clock", "tom hill", "yes"],
        (TUESDAY, "09:00", "Tom Hill"),
    ),
    "a day in the past": (
        ["book an appointment for yesterday", "on tuesday", "nine o'clock", "tom hill", "yes"],
        (TUESDAY, "09:00", "Tom Hill"),
    ),
    "what is free, then the first": (
        ["what times do you have", "the first one", "tom hill", "yes"],
        ("2026-11-23", "09:00", "Tom Hill"),
    ),
    "silence and a moment of thought": (
        ["book an appointment", "", "tuesday", "just a moment", "nine o'clock", "tom hill", "yes"],
        (TUESDAY, "09:00", "Tom Hill"),
    ),
    "a date": (
        ["book an appointment", "the third of december at three pm", "tom hill", "yes"],
        ("2026-12-03", "15:00", "Tom Hill"),
    ),
    "a spelled name": (
        ["book an appointment", "tuesday at nine", "my name is t o m", "yes"],
        (TUESDAY, "09:00", "Tom"),
    ),
}


@pytest.mark.parametrize("name", BOOKINGS)
def test_an_appointment_is_booked(name: str) -> None:
    lines, expected = BOOKINGS[name]
    conversation, said = talk(*lines)
    assert booking(conversation) == expected
    assert conversation.of("create_booking")[0]["phone"] == "+4930123456"
    assert "booked" in said[-1]
    assert "anything else" in said[-1]


def test_nothing_is_booked_before_the_caller_has_agreed() -> None:
    conversation, said = talk("an appointment on tuesday at nine", "my name is tom hill")
    assert conversation.of("create_booking") == []
    assert "Tuesday" in said[-1]
    assert "nine o'clock" in said[-1]
    assert "Tom Hill" in said[-1]
    assert said[-1].endswith("Is that right?")


def test_a_slot_that_was_lost_meanwhile_is_replaced_by_another() -> None:
    diary = Diary(taken_at_booking={"09:00"})
    conversation, said = talk(
        "an appointment on tuesday at nine", "tom hill", "yes", "three o'clock", "yes", diary=diary
    )
    assert "already taken" in said[2]
    assert "Which time" in said[2]
    assert [made["time"] for made in conversation.of("create_booking")] == ["09:00", "15:00"]


def test_free_times_are_told_in_words() -> None:
    _, said = talk("what times do you have on tuesday")
    assert "nine o'clock" in said[0]
    assert "ten thirty" in said[0]
    assert "Which time would you like?" in said[0]


def test_the_caller_who_is_done_is_sent_off() -> None:
    for line in ("goodbye", "no thank you goodbye", "that's all thanks", "no"):
        conversation, said = talk("an appointment on tuesday at nine", "tom hill", "yes", line)
        assert conversation.used[-1][0] == "end_call"
        assert "Goodbye" in said[-1]


def test_a_human_is_had_at_any_time() -> None:
    for lines in (
        ["can i speak to a human"],
        ["book an appointment", "tuesday", "let me talk to a real person please"],
    ):
        conversation, said = talk(*lines)
        assert conversation.used[-1][0] == "transfer_to_human"
        assert "put you through" in said[-1]


def test_nobody_there_leads_to_a_message() -> None:
    diary = Diary(human_reachable=False)
    conversation, said = talk(
        "a human please", "yes", "please ask doctor miller to call me back", diary=diary
    )
    assert "message" in said[0]
    assert "write down" in said[1]
    assert conversation.of("log_note") == [{"text": "please ask doctor miller to call me back"}]


def test_twice_not_understood_offers_a_human() -> None:
    conversation, said = talk("florble grump", "wimble")
    assert "did not understand" in said[0]
    assert said[1].endswith("Shall I put you through to a person?")
    conversation.say("yes please")
    assert conversation.used[-1][0] == "transfer_to_human"


def test_not_understood_repeats_the_open_question() -> None:
    _, said = talk("book an appointment", "florble")
    assert said[1].endswith("Which day would you like?")


def test_a_message_is_written_down() -> None:
    conversation, said = talk("could you tell the dentist that i will be late", "no goodbye")
    assert conversation.of("log_note") == [{"text": "could you tell the dentist that i will be late"}]
    assert "written" in said[0]
    assert conversation.over


def test_an_order_is_taken_after_a_yes() -> None:
    conversation, said = talk("i'd like to order two toothbrushes and a mouthwash please", "anna", "yes")
    assert "2 toothbrushes and 1 mouthwash" in said[1]
    (order,) = conversation.of("create_order")
    assert order["items"] == [{"name": "toothbrushes", "quantity": 2}, {"name": "mouthwash", "quantity": 1}]


def test_questions_beside_the_way_are_answered_and_the_task_goes_on() -> None:
    _, said = talk("book an appointment", "what are your opening hours", "who are you", "pardon")
    assert "9 a.m. to 5 p.m" in said[1]
    assert said[1].endswith("Which day would you like?")
    assert "digital assistant" in said[2]
    assert said[3] == said[2]


def test_a_conversation_that_another_model_began_goes_on() -> None:
    conversation = Conversation()
    conversation.messages += [
        {"role": "user", "content": "I need to see the dentist"},
        {"role": "assistant", "content": "Sure thing! What day works best for you?"},
    ]
    conversation.say("tuesday at nine")
    conversation.say("tom hill")
    conversation.say("yes")
    assert booking(conversation) == (TUESDAY, "09:00", "Tom Hill")
