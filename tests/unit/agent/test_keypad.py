"""Keys pressed on the telephone become one input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.keypad import Keypad, as_words


def test_the_hash_key_ends_an_input_at_once() -> None:
    keypad = Keypad()
    for key in "12#":
        assert keypad.press(key, 1.0)
    assert keypad.due(1.0) == "12#"
    assert keypad.due(9.0) is None
    assert as_words("12#") == "pressed 1 2 #"


def test_a_pause_ends_an_input() -> None:
    keypad = Keypad(pause_seconds=2.0)
    keypad.press("4", 0.0)
    keypad.press("2", 1.5)
    assert keypad.due(3.4) is None
    assert keypad.due(3.5) == "42"


def test_what_is_no_key_is_refused() -> None:
    keypad = Keypad()
    assert not keypad.press("12", 0.0)
    assert not keypad.press("", 0.0)
    assert not keypad.press("x", 0.0)
    assert keypad.due(100.0) is None


@given(st.lists(st.tuples(st.sampled_from("0123456789*#"), st.floats(0.0, 3.0)), max_size=200))
def test_no_key_is_lost_or_doubled_and_an_input_is_bounded(presses: list[tuple[str, float]]) -> None:
    keypad = Keypad()
    now, taken, pressed = 0.0, "", ""
    for key, wait in presses:
        now += wait
        if (keys := keypad.due(now)) is not None:
            assert 0 < len(keys) <= 32
            taken += keys
        if keypad.press(key, now):
            pressed += key
    taken += keypad.due(now + 10.0) or ""
    assert taken == pressed
