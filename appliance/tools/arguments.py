"""The arguments of the tools, as a language model gives them: mostly strings, too many or too few."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _as_text(value: Any) -> Any:
    """Numbers for strings (`"phone": 5551234`) and nothing for an empty word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return str(value)
    return value


def _nothing_when_empty(value: Any) -> Any:
    value = _as_text(value)
    if isinstance(value, str) and value.strip().lower() in {"", "null", "none", "n/a", "unknown"}:
        return None
    return value


def _text(max_length: int, min_length: int = 0) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=min_length, max_length=max_length)


Words = Annotated[Annotated[str, _text(200, 1)], BeforeValidator(_as_text)]
OptionalWords = Annotated[Annotated[str, _text(200)] | None, BeforeValidator(_nothing_when_empty)]
LongWords = Annotated[Annotated[str, _text(4000, 1)], BeforeValidator(_as_text)]


class Arguments(BaseModel):
    """What a model adds on its own is ignored; the schema shown to it is made from the subclasses."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CheckAvailability(Arguments):
    date: OptionalWords = Field(
        default=None,
        description="The day, as YYYY-MM-DD or as the caller said it, such as 'next Tuesday'. "
        "Leave it out to get the next free times of the coming days.",
    )
    time: OptionalWords = Field(
        default=None, description="The time the caller wants, as HH:MM or as said, such as '3 pm'."
    )


class CreateBooking(Arguments):
    date: Words = Field(description="The day, as YYYY-MM-DD or as the caller said it.")
    time: Words = Field(description="The time the appointment begins, as HH:MM or as the caller said it.")
    name: Words = Field(description="The name of the person who comes.")
    phone: OptionalWords = Field(
        default=None, description="A telephone number to call back; leave it out to use the caller's own."
    )
    reason: OptionalWords = Field(default=None, description="What the appointment is for, in a few words.")


class OrderItem(Arguments):
    name: Words = Field(description="What is ordered.")
    quantity: int = Field(default=1, ge=1, le=1000, description="How many.")


class CreateOrder(Arguments):
    items: list[OrderItem] = Field(min_length=1, max_length=50, description="What is ordered.")
    name: Words = Field(description="The name of the person who orders.")
    phone: OptionalWords = Field(
        default=None, description="A telephone number to call back; leave it out to use the caller's own."
    )


class TransferToHuman(Arguments):
    reason: OptionalWords = Field(default=None, description="Why the caller wants a person, in a few words.")


class EndCall(Arguments):
    reason: OptionalWords = Field(default=None, description="Why the call ends, in a few words.")


class LogNote(Arguments):
    text: LongWords = Field(description="The message for the staff, complete, in the caller's words.")
