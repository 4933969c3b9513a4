"""Use cases of the overview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Float, and_, func, select

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent, AgentVersion
from appliance.audit.domain import BOX_CHAIN
from appliance.audit.tables import AuditEntry
from appliance.calls.tables import Call, Turn
from appliance.database.unit_of_work import UnitOfWork
from appliance.recordings.tables import Recording
from appliance.telephony.tables import Number

SHOWN_CALLS, SHOWN_TURNS = 20, 6
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Today:
    """Since midnight in the organization's time zone; latencies in ms from the caller's last word to the
    first sound of the answer, None without a turn."""

    calls: int
    answered: int
    abandoned: int
    failed: int
    live: int
    turns: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class LiveTurn:
    caller_text: str
    agent_text: str
    latency_ms: float | None


@dataclass(frozen=True)
class LiveCall:
    """`turns` are the newest, in their order; empty for those who may not read what is said."""

    id: UUID
    caller: str | None
    called: str | None
    direction: str
    status: str
    agent: str | None
    since: datetime
    turn_count: int
    turns: Sequence[LiveTurn]


@dataclass(frozen=True)
class Attention:
    """Something that a person should look at; `path` is where."""

    text: str
    path: str
    bad: bool = False


async def today(uow: UnitOfWork, actor: Actor, timezone: ZoneInfo, now: datetime) -> Today:
    actor.must(Right.OVERVIEW_READ)
    local = now.astimezone(timezone)
    midnight = datetime.combine(local.date(), time(), timezone).astimezone(UTC)
    counts = (
        await uow.session.execute(
            select(
                func.count(),
                func.count(Call.answered_at),
                func.count().filter(and_(Call.ended_at.is_not(None), Call.answered_at.is_(None))),
                func.count().filter(Call.outcome == "failed"),
            ).where(Call.created_at >= midnight)
        )
    ).one()
    live = await uow.session.scalar(select(func.count()).where(Call.ended_at.is_(None)))
    latency = Turn.stamps["first_audio_out"].astext.cast(Float)
    spread = (
        await uow.session.execute(
            select(
                func.count(latency),
                func.percentile_cont(0.5).within_group(latency),
                func.percentile_cont(0.95).within_group(latency),
            )
            .join(Call, Call.id == Turn.call_id)
            .where(Call.created_at >= midnight)
        )
    ).one()
    return Today(counts[0], counts[1], counts[2], counts[3], live or 0, spread[0], spread[1], spread[2])


async def live_calls(uow: UnitOfWork, actor: Actor) -> list[LiveCall]:
    """Calls in progress, the newest first, with their last turns for those who may read them."""
    actor.must(Right.OVERVIEW_READ)
    rows = (
        await uow.session.execute(
            select(Call, Agent.name)
            .outerjoin(AgentVersion, AgentVersion.id == Call.agent_version_id)
            .outerjoin(Agent, Agent.id == AgentVersion.agent_id)
            .where(Call.ended_at.is_(None))
            .order_by(Call.created_at.desc())
            .limit(SHOWN_CALLS)
        )
    ).all()
    turns: dict[UUID, list[Turn]] = {call.id: [] for call, _ in rows}
    if turns:
        for turn in await uow.session.scalars(
            select(Turn).where(Turn.call_id.in_(turns)).order_by(Turn.attempt, Turn.index)
        ):
            turns[turn.call_id].append(turn)
    reads = actor.may(Right.TRANSCRIPTS_READ)
    return [
        LiveCall(
            id=call.id,
            caller=call.caller,
            called=call.called,
            direction=call.direction,
            status=call.status,
            agent=agent,
            since=call.answered_at or call.created_at,
            turn_count=len(turns[call.id]),
            turns=[_turn(turn) for turn in turns[call.id][-SHOWN_TURNS:]] if reads else [],
        )
        for call, agent in rows
    ]


@dataclass(frozen=True)
class FirstSteps:
    """What an organization has done of what a first answered call needs."""

    agent: bool
    number: bool
    call: bool

    @property
    def done(self) -> bool:
        return self.agent and self.number and self.call


async def first_steps(uow: UnitOfWork, actor: Actor) -> FirstSteps:
    """A published agent, a number that leads to one, a call that was answered."""
    actor.must(Right.OVERVIEW_READ)
    published = select(Agent.id).where(Agent.published_version_id.is_not(None), Agent.archived_at.is_(None))
    answered = select(Call.id).where(Call.answered_at.is_not(None), Call.direction != "test")
    found = await uow.session.execute(
        select(
            published.exists(),
            select(Number.id).where(Number.agent_id.in_(published)).exists(),
            answered.exists(),
        )
    )
    return FirstSteps(*found.one())


async def attention(uow: UnitOfWork, actor: Actor, now: datetime) -> list[Attention]:
    """What is set up by half or went wrong lately, the worst first."""
    actor.must(Right.OVERVIEW_READ)
    found: list[Attention] = []
    entered = await uow.session.scalar(
        select(func.count()).where(
            AuditEntry.chain == (uow.organization_id or BOX_CHAIN),
            AuditEntry.action == "emergency.entered",
            AuditEntry.at >= now - timedelta(days=1),
        )
    )
    if entered:
        path = "/audit?action=emergency" if actor.may(Right.AUDIT_READ) else ""
        found.append(Attention("Emergency access was used in the last 24 hours.", path, bad=True))
    lost = await uow.session.scalar(
        select(func.count()).where(Recording.state == "failed", Recording.created_at >= now - RECENT)
    )
    if lost:
        found.append(
            Attention(f"{lost} recordings of the last 7 days could not be kept.", "/calls", bad=True)
        )
    dumb = (
        await uow.session.execute(
            select(Number.number, Agent.name)
            .outerjoin(Agent, Agent.id == Number.agent_id)
            .where(Agent.published_version_id.is_(None))
            .order_by(Number.number)
            .limit(5)
        )
    ).all()
    for number, agent in dumb:
        why = f"its agent {agent} has no published version" if agent else "it has no agent"
        found.append(Attention(f"{number} is not answered: {why}.", "/numbers", bad=True))
    failed = await uow.session.scalar(
        select(func.count()).where(Call.outcome == "failed", Call.created_at >= now - timedelta(days=1))
    )
    if failed:
        found.append(Attention(f"{failed} calls of the last 24 hours failed.", "/calls?outcome=failed"))
    return found


def _turn(turn: Turn) -> LiveTurn:
    return LiveTurn(turn.caller_text, turn.agent_text, turn.stamps.get("first_audio_out"))
