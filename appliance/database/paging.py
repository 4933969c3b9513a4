"""Lists a page at a time, by the key of the last row: a page costs the same wherever it lies in the list."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from appliance.errors import InvalidInput

_Item = TypeVar("_Item")
_Row = TypeVar("_Row")
MAX_LIMIT = 200
DEFAULT_LIMIT = 50


class Listed(BaseModel, Generic[_Item]):
    """One page of a list; `next_cursor` asks for the next one, None: this was the last."""

    model_config = ConfigDict(frozen=True)
    items: list[_Item]
    next_cursor: str | None = Field(default=None, examples=[None])


def encode_cursor(moment: datetime, row_id: UUID) -> str:
    text = json.dumps([moment.isoformat(), str(row_id)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """InvalidInput for one that this list did not give out."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, row_id = json.loads(text)
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError("without a time zone")
        return at, UUID(row_id)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise InvalidInput(
            "The cursor is not one of this list.", field="cursor", remedy="Begin again without a cursor."
        ) from error


def checked_limit(limit: int) -> int:
    """InvalidInput outside of 1 to 200."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"The limit must be between 1 and {MAX_LIMIT}.", field="limit")
    return limit


def newest_first(
    statement: Select[Any],
    created_at: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[UUID],
    cursor: str | None,
    limit: int,
) -> Select[Any]:
    """The statement of one page for `one_page`: the newest rows behind the cursor, one more than `limit`.

    InvalidInput for a limit outside of 1 to 200, and for a cursor that this list did not give out.
    """
    checked_limit(limit)
    if cursor:
        statement = statement.where(tuple_(created_at, row_id) < tuple_(*decode_cursor(cursor)))
    return statement.order_by(created_at.desc(), row_id.desc()).limit(limit + 1)


def one_page(
    rows: Sequence[_Row],
    limit: int,
    key: Callable[[_Row], tuple[datetime, UUID]],
    shape: Callable[[_Row], _Item],
) -> Listed[_Item]:
    """The page of rows that were asked for with one more than `limit`: it tells whether there is a next."""
    kept = rows[:limit]
    more = len(rows) > limit
    return Listed(
        items=[shape(row) for row in kept], next_cursor=encode_cursor(*key(kept[-1])) if more else None
    )
