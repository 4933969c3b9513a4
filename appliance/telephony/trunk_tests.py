"""Testing a trunk: who may, and that it is written down. The bridge does the asking."""

from __future__ import annotations

from uuid import UUID

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict
from appliance.telephony import lines
from appliance.telephony.lines_domain import ShownTrunk


def has_far_side(trunk: ShownTrunk) -> bool:
    """Whether there is anybody to ask: a trunk may be for calls in alone."""
    return trunk.host is not None or bool(trunk.outbound_proxies)


async def begin_trunk_test(uow: UnitOfWork, actor: Actor, trunk_id: UUID) -> ShownTrunk:
    """Writes down that the trunk is tested now, before anything leaves the box. NotFound; Conflict when
    there is nobody to ask."""
    actor.must(Right.TRUNKS_WRITE)
    trunk = await lines.get_trunk(uow, actor, trunk_id)
    if not has_far_side(trunk):
        raise Conflict(
            "This trunk has no host: calls come in by it, and there is nobody to ask.", code="no_far_side"
        )
    await record(uow, actor, "trunks.tested", f"trunk:{trunk_id}")
    return trunk
