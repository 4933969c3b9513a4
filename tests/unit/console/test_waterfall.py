"""The turns of a call as a waterfall."""

from __future__ import annotations

from appliance.calls.archive_domain import ShownTurn
from console.calls.timing import waterfall


def _turns(*answered_ms: float) -> list[ShownTurn]:
    return [
        ShownTurn(
            attempt=1,
            index=index,
            caller_text="a",
            agent_text="b",
            started_at=None,
            interrupted=False,
            stamps={"stt_final": ms / 2, "first_audio_out": ms} if ms else {},
        )
        for index, ms in enumerate(answered_ms)
    ]


def test_of_many_turns_the_slowest_are_shown_in_their_order() -> None:
    falls = waterfall(_turns(900, 100, 0, 700, 1200), most=3)
    assert [row.turn.index for row in falls.rows] == [0, 3, 4]
    assert falls.of == 5
    assert falls.scale_ms == 1200


def test_few_turns_are_all_shown_the_unanswered_too() -> None:
    falls = waterfall(_turns(300, 0, 200), most=3)
    assert [row.answer_ms for row in falls.rows] == [300, None, 200]
    assert falls.of == len(falls.rows)
    assert falls.scale_ms == 1000  # a quick call is not drawn as if it were slow


def test_a_call_without_turns_has_an_empty_drawing() -> None:
    assert waterfall([], most=3).rows == []
