"""Types of what crosses a process border: bounded, storable, and tolerant of fields that a newer peer adds.

PostgreSQL stores neither NUL characters nor numbers such as NaN in `jsonb`; both are taken out or refused
here, so that no service has to think of them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

MAX_JSON_DEPTH = 20
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class WireModel(BaseModel):
    """Frozen; unknown fields are ignored, so that parts of two releases understand each other."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _without_nul(text: str) -> str:
    return text.replace("\x00", "")


def _sensible_time(moment: datetime) -> datetime:
    try:
        in_range = _EARLIEST <= moment <= _LATEST
    except OverflowError:
        in_range = False
    if not in_range:
        raise ValueError("the time must be between the years 2000 and 2200")
    return moment


def storable_json(value: Any, depth: int = 0) -> Any:
    """The value as `jsonb` can hold it; ValueError for what JSON does not know and what is too deep."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError("nested too deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("not valid Unicode")
        return _without_nul(value)
    if isinstance(value, int):
        if value.bit_length() > 256:
            raise ValueError("the number is too large")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("the number must be finite")
        return value
    if isinstance(value, list):
        return [storable_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(storable_json(str(key))): storable_json(item, depth + 1) for key, item in value.items()}
    raise ValueError("not a JSON value")


ShortText = Annotated[str, StringConstraints(max_length=300), AfterValidator(_without_nul)]
Phrase = Annotated[str, StringConstraints(max_length=100), AfterValidator(_without_nul)]
LongText = Annotated[str, StringConstraints(max_length=50_000), AfterValidator(_without_nul)]
Moment = Annotated[AwareDatetime, AfterValidator(_sensible_time)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(storable_json)]
