"""What a person may choose from in the search of calls."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from appliance.agents.tables import Agent
from appliance.database.unit_of_work import UnitOfWork

_MOST = 500


async def agent_choices(uow: UnitOfWork) -> list[tuple[UUID, str]]:
    """The organization's agents by name, archived ones too: their calls stay."""
    rows = await uow.session.execute(select(Agent.id, Agent.name).order_by(Agent.name).limit(_MOST))
    return [(row.id, row.name) for row in rows]
