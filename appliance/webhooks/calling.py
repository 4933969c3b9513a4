"""Placing the calls that requests asked for: each request calls somebody at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.domain import AdmissionRefused, OutboundRequest
from appliance.clients.bridge import NotReached
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import AtCapacity, TrunklineError, Unavailable
from appliance.webhooks.inbound_domain import CALL_AGAIN_AFTER
from appliance.webhooks.tables import InboundHook, InboundRequest

log = structlog.get_logger()
Place = Callable[[OutboundRequest], Awaitable[UUID]]
CLAIMED_FOR = timedelta(seconds=60)
"""Longer than placing a call takes: who died meanwhile leaves a call of which nobody knows."""
AT_ONCE = 4
KEPT_FOR = timedelta(days=30)
REFUSED_KEPT_FOR = timedelta(days=2)


@dataclass(frozen=True)
class HookCaller:
    """`place` asks the bridge (`appliance.clients.bridge.place_call`)."""

    app: AsyncEngine
    router: AsyncEngine
    place: Place

    async def due(self, now: datetime) -> Sequence[tuple[UUID, UUID]]:
        """Organization and id of the requests whose call may be placed now."""
        table = InboundRequest
        async with UnitOfWork(self.router, None) as uow:
            rows = await uow.session.execute(
                select(table.organization_id, table.id)
                .where(table.state.in_(("waiting", "calling")), table.next_try_at <= now)
                .order_by(table.next_try_at, table.id)
                .limit(AT_ONCE)
            )
            return [(row[0], row[1]) for row in rows]

    async def call(self, organization_id: UUID, request_id: UUID, now: datetime) -> None:
        """One try. What certainly was not placed for want of a line is tried again, anything else is not."""
        wanted = await self._claim(organization_id, request_id, now)
        if wanted is None:
            return
        call_id: UUID | None = None
        detail, again = None, False
        try:
            call_id = await self.place(wanted)
        except (AtCapacity, NotReached) as error:
            detail, again = error.message, True
        except AdmissionRefused as error:
            detail, again = error.message, error.retryable
        except Unavailable as error:
            again = error.code != "unknown_outcome"
            detail = error.message if again else "It is not known whether the call was placed."
        except TrunklineError as error:
            detail = str(error)
        async with UnitOfWork(self.app, organization_id) as uow:
            row = await uow.session.get(InboundRequest, request_id, with_for_update=True)
            if row is None:
                return
            row.detail, row.call_id = detail, call_id
            if call_id is not None:
                row.state = "called"
            elif again and row.tries <= len(CALL_AGAIN_AFTER):
                row.state, row.next_try_at = "waiting", datetime.now(UTC) + CALL_AGAIN_AFTER[row.tries - 1]
            else:
                row.state = "failed"
            log.info("call asked for by a webhook", request_id=str(request_id), state=row.state)

    async def _claim(self, organization_id: UUID, request_id: UUID, now: datetime) -> OutboundRequest | None:
        async with UnitOfWork(self.app, organization_id) as uow:
            row = await uow.session.scalar(
                select(InboundRequest)
                .where(InboundRequest.id == request_id, InboundRequest.next_try_at <= now)
                .where(InboundRequest.state.in_(("waiting", "calling")))
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            hook = await uow.session.get_one(InboundHook, row.hook_id)
            if row.state == "calling":
                row.state, row.detail = "failed", "It is not known whether the call was placed."
                return None
            if not hook.enabled:
                row.state, row.detail = "failed", "The incoming webhook was switched off."
                return None
            assert row.agent_id is not None
            assert row.called is not None
            row.state, row.next_try_at, row.tries = "calling", now + CLAIMED_FOR, row.tries + 1
            return OutboundRequest(
                organization_id=organization_id,
                agent_id=row.agent_id,
                to=row.called,
                number_id=row.number_id,
            )

    async def forget_old(self, organization_id: UUID, now: datetime) -> None:
        """Deletes requests of long ago; those that were refused sooner."""
        table = InboundRequest
        async with UnitOfWork(self.app, organization_id) as uow:
            refused = (table.state == "refused") & (table.created_at < now - REFUSED_KEPT_FOR)
            await uow.session.execute(
                delete(table).where(
                    or_(refused, table.created_at < now - KEPT_FOR),
                    table.state.not_in(("waiting", "calling")),
                )
            )
