"""What pydantic found wrong with a form, as a sentence beside each field."""

from __future__ import annotations

from pydantic import ValidationError

WHOLE = "form"
"""The key of what concerns no single field."""
_WORDS = {
    "missing": "This is needed.",
    "int_parsing": "Give a whole number.",
    "float_parsing": "Give a number.",
    "uuid_parsing": "Choose one of the list.",
    "string_too_short": "This is needed.",
    "date_from_datetime_parsing": "Give a day as year-month-day.",
    "time_parsing": "Give a time as hours:minutes.",
}


def sentences(error: ValidationError) -> dict[str, str]:
    """By the name of the field, its first problem; of a list the whole field."""
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(each["loc"][0]) if each["loc"] else WHOLE
        words = _WORDS.get(each["type"]) or _sentence(each["msg"])
        found.setdefault(name, words)
    return found


def _sentence(message: str) -> str:
    words = message.removeprefix("Value error, ").replace("Input should", "This should").rstrip(".") + "."
    if words.startswith(("must ", "is ", "may ", "needs ")):
        words = f"This {words}"
    return words[0].upper() + words[1:]


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text field, without the empty ones."""
    return tuple(line.strip() for line in text.replace(",", "\n").splitlines() if line.strip())
