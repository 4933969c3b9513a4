"""What the overview shows: today's calls and latencies, calls in progress, what needs attention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from appliance.access.domain import Actor, Right
from appliance.organizations.tables import Organization
from appliance.overview import service
from console.api.answers import reads
from console.web.work import Work


class Figure(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Today(Figure):
    """Since midnight in the organization's time zone; latencies in ms, null without a turn."""

    calls: int
    answered: int
    abandoned: int
    failed: int
    live: int
    turns: int
    p50_ms: float | None
    p95_ms: float | None


class LiveTurn(Figure):
    caller_text: str
    agent_text: str
    latency_ms: float | None


class LiveCall(Figure):
    """`turns`: the newest; empty for who may not read transcripts."""

    id: UUID
    caller: str | None
    called: str | None
    direction: str
    status: str
    agent: str | None
    since: datetime
    turn_count: int
    turns: list[LiveTurn]


class Attention(Figure):
    text: str
    path: str
    bad: bool


class ShownOverview(BaseModel):
    today: Today
    live: list[LiveCall]
    attention: list[Attention]


@reads("/overview", right=Right.OVERVIEW_READ, operation="getOverview", one=False)
async def get_overview(actor: Actor, work: Work) -> ShownOverview:
    """Today in figures, the calls in progress, and what somebody should look at."""
    now = datetime.now(UTC)
    async with work.tenant() as uow:
        organization = await uow.session.get_one(Organization, uow.organization_id)
        today = await service.today(uow, actor, ZoneInfo(organization.timezone), now)
        live = await service.live_calls(uow, actor)
        attention = await service.attention(uow, actor, now)
    return ShownOverview(
        today=Today.model_validate(today),
        live=[LiveCall.model_validate(each) for each in live],
        attention=[Attention.model_validate(each) for each in attention],
    )


HANDLERS: list[Any] = [get_overview]
