"""The markup's subset is understood; bombs and broken markup are told, and quickly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from models.tts.clause import Clause, Sounds, Words
from models.tts.text.prepare import prepare


def test_breaks_spelling_and_sounds_are_understood():
    clauses = prepare(
        '<speak version="1.1">Hello <break time="500ms"/>my code is '
        '<say-as interpret-as="characters">AB12</say-as> for one '
        '<phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme>.<break strength="strong"/>'
        "<p>Paragraph.</p>Bye</speak>",
        "en",
    )
    assert clauses == (
        Clause((Words("Hello"),), 500),
        Clause(
            (Words("my code is"), Words("A, B, one, two"), Words("for one"), Sounds("təˈmeɪtoʊ"), Words(".")),
            960,
        ),
        Clause((Words("Paragraph."),), 560),
        Clause((Words("Bye"),), 0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "written", "spoken"),
    [
        ("digits", "2026", "two zero two six"),
        ("ordinal", "3", "third"),
        ("cardinal", "2026", "two thousand and twenty-six"),
        ("telephone", "+1 415 555", "plus one, four one five, five five five"),
        ("date", "2026-05-01", "May first, twenty twenty-six"),
        ("spell-out", "Ada", "A, D, A"),
        ("something-new", "12", "twelve"),
    ],
)
def test_say_as_states_the_reading(kind: str, written: str, spoken: str):
    (clause,) = prepare(f'<speak><say-as interpret-as="{kind}">{written}</say-as></speak>', "en")
    assert clause.text == spoken


def test_a_break_is_bounded_and_unknown_elements_are_read_through():
    first, second = prepare(
        '<speak>One<break time="9999s"/><prosody rate="slow"><b>two</b> three</prosody></speak>', "en"
    )
    assert first.pause_ms == 10_000
    assert second.text == "two three"


_ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
BROKEN = [
    "<speak>never closed",
    "<speak><break time='soon'/></speak>",
    "<speak><break strength='huge'/></speak>",
    "<speak>&nothing;</speak>",
    '<speak><phoneme alphabet="x-sampa" ph="a">b</phoneme></speak>',
    "<speak>" + "<p>" * 5000 + "</p>" * 5000 + "</speak>",
    "<speak>" + "<s/>" * 5000 + "</speak>",
    f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{_ENTITIES}]><speak>&a11;</speak>',
    '<?xml version="1.0"?><speak xmlns:x="y"><!DOCTYPE x SYSTEM "file:///etc/passwd">&x;</speak>',
    "<speak",
]


@pytest.mark.parametrize("markup", BROKEN)
def test_broken_markup_and_bombs_are_refused(markup: str):
    with pytest.raises(InvalidInput):
        prepare(markup + " ", "en")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.text("<>/speak brtime=\"'&;x0123456789 phonesay-as!?[]", max_size=200))
def test_any_markup_is_spoken_or_refused(inner: str):
    try:
        clauses = prepare(f"<speak>{inner}</speak>", "en")
    except InvalidInput:
        return
    assert all(clause.text and 0 <= clause.pause_ms <= 10_000 for clause in clauses)
