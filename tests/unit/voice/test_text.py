"""What is written is said the way people say it, and no text is refused, lost or blown up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tts.clause import Words
from models.tts.text.normalize import normalize
from models.tts.text.prepare import LONGEST_CLAUSE, prepare

SAID = """
en | See you at 15:30 on 2026-11-21.
  See you at three thirty p m on November twenty-first, twenty twenty-six.
en | We are open 9am-5pm.
  We are open nine a m to five p m.
en | It begins at 9:05.
  It begins at nine oh five.
en | At 12:00
  At twelve o'clock
en | Nov. 3rd, 2025
  November third, twenty twenty-five
en-us | on 11/21/2026
  on November twenty-first, twenty twenty-six
en-gb | on 21/11/2026
  on November twenty-first, twenty twenty-six
en | $1,234.50
  one thousand two hundred and thirty-four dollars and fifty cents
en | $1.01 or 12 EUR
  one dollar and one cent or twelve euros
en | £0.50
  fifty pence
en | call +44 20 7946 0958
  call plus four four, two zero, seven nine four six, zero nine five eight
en | call (415) 555-0132 now
  call four one five, five five five, zero one three two now
en | 14155550132
  one, four one five, five five five, zero one three two
en | 221B Baker St., London NW1 6XE
  two twenty-one B Baker Street, London N, W, one, six, X, E
en | 1600 Pennsylvania Ave, Washington, DC 20500
  sixteen hundred Pennsylvania Avenue, Washington, DC two zero five zero zero
en | Apt. 12, 2nd floor
  apartment twelve, second floor
en | J-O-H-N
  J, O, H, N
en | flight BA2490
  flight B, A, two, four, nine, zero
en | 5% of 3.14 is not -7
  five percent of three point one four is not minus seven
en | 10-12 people, 20 km/h, 25°C
  ten to twelve people, twenty kilometres per hour, twenty-five degrees Celsius
en | 1,000,000 items, code 0042
  one million items, code zero zero four two
en | info@example-clinic.com
  info at example clinic dot com
en | Dr. Smith & Co.
  Doctor Smith and Company
en | open 24/7, ½ price
  open twenty-four seven, one half price
de | am 21.11.2026 um 15:30 Uhr
  am einundzwanzigsten November zweitausendsechsundzwanzig um fünfzehn Uhr dreißig
de | 12,50 € bzw. 1.234 Stück
  zwölf Euro und fünfzig Cent beziehungsweise eintausendzweihundertvierunddreißig Stück
de | Hauptstr. 12, 12345 Berlin
  Hauptstraße zwölf, eins zwei drei vier fünf Berlin
fr | le 1er mai 2026 à 15h30
  le premier mai deux mille vingt-six à quinze heures trente
fr | 12,50 €, 20%
  douze euros et cinquante centimes, vingt pour cent
es | el 21 de noviembre a las 15:30
  el veintiuno de noviembre a las quince y treinta
es | tel. 912 345 678
  teléfono nueve uno dos, tres cuatro cinco, seis siete ocho
"""
"""A language and what is written; below it, what is said."""


def said() -> list[tuple[str, str, str]]:
    lines = SAID.strip().splitlines()
    return [
        (*above.split(" | ", 1), below.strip()) for above, below in zip(lines[::2], lines[1::2], strict=True)
    ]  # type: ignore[misc]


@pytest.mark.parametrize(("language", "written", "spoken"), said())
def test_it_is_said_as_people_say_it(language: str, written: str, spoken: str):
    assert normalize(written, language) == spoken


def test_an_organizations_names_are_spoken_its_way():
    lexicon = {"Nguyen": "win", "Dr. Nguyen": "doctor win", "BA2490": "the morning flight"}
    said = normalize("Dr. Nguyen, nguyen and Nguyens take BA2490.", "en", lexicon)
    assert said == "doctor win, win and Nguyens take the morning flight."


def test_the_first_clause_is_short_and_none_is_long():
    clauses = prepare(
        "Good morning, this is the front desk of the Miller clinic, how can I help you today? "
        + "word " * 200,
        "en",
    )
    assert clauses[0].text == "Good morning,"
    assert all(len(clause.text) <= LONGEST_CLAUSE for clause in clauses)
    assert (
        " ".join(clause.text for clause in clauses).split()
        == (
            "Good morning, this is the front desk of the Miller clinic, how can I help you today? "
            + "word " * 200
        ).split()
    )


_TEXTS = st.one_of(
    st.text(max_size=300),
    st.text("0123456789 .,:/-+()$€%@&'’\nabcABC°½٣²", max_size=200),
    st.lists(st.sampled_from([written for _, written, _ in said()]), max_size=6).map(" ".join),
)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(_TEXTS, st.sampled_from(["en", "en-us", "de", "fr-fr", "es", "it", "xx"]))
def test_no_text_is_refused_and_none_that_has_words_is_silent(text: str, language: str):
    clauses = prepare(text, language) if not text.lstrip().startswith("<") else ()
    said = "".join(piece.text for clause in clauses for piece in clause.pieces if isinstance(piece, Words))
    if not text.lstrip().startswith("<") and any(sign.isalnum() for sign in text):
        assert any(sign.isalpha() for sign in said), "something speakable was lost"
    assert not any(sign.isdecimal() for sign in said), "a digit is left for the model to guess at"
    assert len(said) <= 60 * len(text) + 100
    assert all(0 < len(clause.text) <= 60 * LONGEST_CLAUSE for clause in clauses)
