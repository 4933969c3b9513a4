"""The text of an answer is cut into clauses: nothing is lost, and the first comes early."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.clauses import ClauseSplitter


def _cut(*pieces: str) -> list[str]:
    splitter = ClauseSplitter()
    clauses = [clause for piece in pieces for clause in splitter.push(piece)]
    if rest := splitter.rest():
        clauses.append(rest)
    return [clause.strip() for clause in clauses]


def test_sentences_are_clauses() -> None:
    assert _cut("Good morning. How can", " I help you? ", "Yes.") == [
        "Good morning.",
        "How can I help you?",
        "Yes.",
    ]


def test_the_first_clause_may_end_at_a_comma_but_not_a_short_one() -> None:
    assert _cut("On Tuesday afternoon, I have three, four and five.") == [
        "On Tuesday afternoon,",
        "I have three, four and five.",
    ]
    assert _cut("Yes, of course.") == ["Yes, of course."]


def test_times_numbers_and_titles_are_not_cut() -> None:
    assert _cut("At 9.30 or 10:15 with Dr. Miller. Fine? ") == ["At 9.30 or 10:15 with Dr. Miller.", "Fine?"]


def test_a_sentence_without_an_end_is_cut_all_the_same() -> None:
    clauses = _cut("word " * 200)
    assert len(clauses) > 3
    assert all(len(clause) <= 160 for clause in clauses)


@given(st.lists(st.text(alphabet="ab .,!?\n1:", max_size=30), max_size=30))
def test_no_character_that_is_spoken_is_lost_or_doubled(pieces: list[str]) -> None:
    spoken = "".join("".join(_cut(*pieces)).split())
    assert spoken == "".join("".join(pieces).split())
