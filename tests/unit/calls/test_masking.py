"""What an organization wants masked is masked, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.calls.masking import masked

CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("kinds", "said", "shown"),
    [
        ((), f"It is {CARD}.", f"It is {CARD}."),
        (("card_numbers",), f"It is {CARD}.", "It is [card number]."),
        (("card_numbers",), "It is 4111-1111-1111-1112.", "It is 4111-1111-1111-1112."),
        (
            ("card_numbers",),
            f"It is {CARD} 248, and {CARD} {CARD}.",
            "It is [card number] 248, and [card number] [card number].",
        ),
        (("card_numbers",), "Ring 030 5550 1234.", "Ring 030 5550 1234."),
        (("long_digits",), "Ring 030 5550 1234 on the 24th at 10:30.", "Ring [number] on the 24th at 10:30."),
        (("long_digits", "card_numbers"), f"{CARD} or 12345678", "[card number] or [number]"),
        (
            ("email_addresses",),
            "Write to Zoë.Müller@praxis-łódź.example, please.",
            "Write to [e-mail address], please.",
        ),
        (("email_addresses",), "At @ noon", "At @ noon"),
    ],
)
def test_what_is_masked(kinds: tuple[Any, ...], said: str, shown: str) -> None:
    assert masked(said, kinds) == shown


def test_masks_reach_into_what_tools_were_told() -> None:
    told = {"name": "Ada", "cards": [CARD, {"more": CARD}], "count": 3, "none": None}
    shown = {"name": "Ada", "cards": ["[card number]", {"more": "[card number]"}], "count": 3, "none": None}
    assert masked(told, ("card_numbers",)) == shown
