"""The transactions of a request, in the place of the one who acts."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.access.domain import Actor, Right
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from console.web.wiring import Wiring


@dataclass(frozen=True)
class Work:
    """`async with work.tenant() as uow:` in a handler that asks for `work`."""

    wiring: Wiring
    actor: Actor

    def tenant(self) -> UnitOfWork:
        """A transaction in the actor's organization. NotFound when it acts in none."""
        if self.actor.organization_id is None:
            raise NotFound("You look at no organization.", remedy="Choose one, or ask to be invited.")
        return self.wiring.work_of(self.actor.organization_id)

    def box(self) -> UnitOfWork:
        """A transaction of the box; its audit entries go to the box's chain. Operators only."""
        self.actor.must(Right.BOX_READ)
        return self.wiring.work_of(None)

    def across(self) -> UnitOfWork:
        """Reads names and counts of all organizations (the router role). Operators only."""
        self.actor.must(Right.BOX_READ)
        return self.wiring.work_of_router()
