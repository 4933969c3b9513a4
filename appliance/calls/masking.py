"""Masks in what was said, before it is shown: the recording and the stored words stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from appliance.calls.archive_domain import CallDetail
from appliance.organizations.domain import Redaction

_DIGITS = re.compile(r"(?<!\d)\d(?:[ .\-]?\d){6,}(?!\d)")
_CARD = re.compile(r"(?<!\d)\d(?:[ \-]?\d){12,}(?!\d)")
_CARD_LENGTHS = range(13, 20)
"""Digits of a card number (ISO/IEC 7812)."""
_MAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_CARD_MASK, _DIGITS_MASK, _MAIL_MASK = "[card number]", "[number]", "[e-mail address]"


def _is_card(text: str) -> bool:
    """The length of a card number, and the check digit of ISO/IEC 7812 (Luhn)."""
    digits = re.sub(r"\D", "", text)
    if len(digits) not in _CARD_LENGTHS:
        return False
    total = 0
    for place, sign in enumerate(reversed(digits)):
        digit = int(sign) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def _cards(text: str) -> str:
    return _CARD.sub(_without_cards, text)


def _without_cards(found: re.Match[str]) -> str:
    """The digits without the card numbers among them: other digits may have been said in the same breath.

    A number begins and ends where a group of digits does.
    """
    text = found[0]
    groups = [(group.start(), group.end()) for group in re.finditer(r"\d+", text)]
    kept, first, done = "", 0, 0
    while first < len(groups):
        for last in reversed(range(first, len(groups))):
            begin, end = groups[first][0], groups[last][1]
            if _is_card(text[begin:end]):
                kept += text[done:begin] + _CARD_MASK
                done, first = end, last
                break
        first += 1
    return kept + text[done:]


_MASKS: dict[Redaction, Callable[[str], str]] = {
    "card_numbers": _cards,
    "long_digits": lambda text: _DIGITS.sub(_DIGITS_MASK, text),
    "email_addresses": lambda text: _MAIL.sub(_MAIL_MASK, text),
}
"""In this order: a card number is told as one, also when all long numbers are masked."""


def masked(value: Any, kinds: Iterable[Redaction]) -> Any:
    """The same value with masks in each of its texts; keys stay, as nobody has said them."""
    wanted = frozenset(kinds)
    return _masked(value, [mask for kind, mask in _MASKS.items() if kind in wanted]) if wanted else value


def _masked(value: Any, masks: list[Callable[[str], str]]) -> Any:
    if isinstance(value, str):
        for mask in masks:
            value = mask(value)
        return value
    if isinstance(value, dict):
        return {key: _masked(item, masks) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, masks) for item in value]
    return value


def with_masks(call: CallDetail, kinds: Iterable[Redaction]) -> CallDetail:
    """The call with masks in its words, and in what tools and notes were told."""
    wanted = tuple(kinds)
    if not wanted:
        return call
    plain = call.model_dump()
    for name in ("turn_list", "segments", "tool_calls", "notes"):
        plain[name] = masked(plain[name], wanted)
    return CallDetail.model_validate(plain)
