"""The row that a change is made on: held by this transaction, and as it is now."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select

from appliance.database.base import Identified
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound

_Row = TypeVar("_Row", bound=Identified)


async def row_to_change(
    uow: UnitOfWork, table: type[_Row], row_id: UUID, missing: str, *conditions: ColumnElement[bool]
) -> _Row:
    """Holds the row until the transaction ends, read anew though the session may know an older state of it.

    NotFound with the sentence `missing` when there is none (of this organization, that meets the conditions).
    """
    row = await uow.session.scalar(
        select(table)
        .where(table.id == row_id, *conditions)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound(missing)
    return row
