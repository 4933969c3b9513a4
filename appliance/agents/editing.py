"""The editor of agents: a draft that may change, versions that never do, and which of them answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from appliance.access.domain import Actor, Right
from appliance.agents.domain import AgentSnapshot
from appliance.agents.editing_domain import (
    Difference,
    FullVersion,
    ShownAgent,
    ShownDraft,
    ShownVersion,
    differences,
    flaws_of,
)
from appliance.agents.tables import Agent, AgentDraft, AgentVersion
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.telephony.tables import Number
from appliance.webhooks.outbox import announce

_MISSING = "The agent does not exist."


async def list_agents(
    uow: UnitOfWork,
    actor: Actor,
    *,
    archived: bool = False,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownAgent]:
    """The agents, the newest first: those at work, or the archived ones."""
    actor.must(Right.AGENTS_READ)
    statement = _agents().where(Agent.archived_at.is_not(None) if archived else Agent.archived_at.is_(None))
    rows = await uow.session.execute(newest_first(statement, Agent.created_at, Agent.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.Agent.created_at, row.Agent.id), _shown_agent)


async def get_agent(uow: UnitOfWork, actor: Actor, agent_id: UUID) -> ShownAgent:
    actor.must(Right.AGENTS_READ)
    row = (await uow.session.execute(_agents().where(Agent.id == agent_id))).one_or_none()
    if row is None:
        raise NotFound(_MISSING)
    return _shown_agent(row)


async def create_agent(
    uow: UnitOfWork, actor: Actor, name: str, snapshot: dict[str, Any] | None = None
) -> ShownAgent:
    """A new agent with a draft; it answers nothing until it is published. Conflict: the name is taken."""
    actor.must(Right.AGENTS_WRITE)
    assert uow.organization_id is not None
    agent = Agent(id=uuid7(), organization_id=uow.organization_id, name=name)
    await _named(uow, agent, name)
    draft = snapshot or {
        "name": name,
        "language": "en",
        "prompt": "You answer the telephone. Be brief and friendly.",
        "greeting": "Hello, how can I help you?",
    }
    uow.session.add(
        AgentDraft(
            id=uuid7(),
            organization_id=uow.organization_id,
            agent_id=agent.id,
            snapshot=draft,
            author=actor.name,
        )
    )
    await uow.session.flush()
    await record(uow, actor, "agents.created", f"agent:{agent.id}", after={"name": name})
    return await get_agent(uow, actor, agent.id)


async def rename_agent(
    uow: UnitOfWork, actor: Actor, agent_id: UUID, name: str, *, revision: str | None = None
) -> ShownAgent:
    actor.must(Right.AGENTS_WRITE)
    agent = await row_to_change(uow, Agent, agent_id, _MISSING)
    check_revision(revision, revision_of(await get_agent(uow, actor, agent_id)))
    before = agent.name
    if before != name:
        await _named(uow, agent, name)
        await record(
            uow, actor, "agents.renamed", f"agent:{agent_id}", before={"name": before}, after={"name": name}
        )
    return await get_agent(uow, actor, agent_id)


async def get_draft(uow: UnitOfWork, actor: Actor, agent_id: UUID) -> ShownDraft:
    """The draft; where there is none yet, what is published."""
    actor.must(Right.AGENTS_READ)
    agent = await uow.session.get(Agent, agent_id)
    if agent is None:
        raise NotFound(_MISSING)
    return await _draft(uow, agent)


async def save_draft(
    uow: UnitOfWork,
    actor: Actor,
    agent_id: UUID,
    snapshot: dict[str, Any],
    *,
    revision: str | None,
    now: datetime,
) -> ShownDraft:
    """Keeps the draft as it is, with its flaws. Conflict when somebody saved since `revision` was read."""
    actor.must(Right.AGENTS_WRITE)
    agent = await row_to_change(uow, Agent, agent_id, _MISSING)
    before = await _draft(uow, agent)
    check_revision(revision, before.revision)
    row = await uow.session.scalar(select(AgentDraft).where(AgentDraft.agent_id == agent_id))
    if row is None:
        row = AgentDraft(
            id=uuid7(), organization_id=agent.organization_id, agent_id=agent_id, snapshot=snapshot
        )
        uow.session.add(row)
    row.snapshot, row.updated_at, row.author = snapshot, now, actor.name
    await uow.session.flush()
    changed = differences(before.snapshot, snapshot)
    if changed:
        await record(
            uow,
            actor,
            "agents.draft_saved",
            f"agent:{agent_id}",
            before={each.field: each.before for each in changed},
            after={each.field: each.after for each in changed},
        )
    return await _draft(uow, agent)


async def publish(
    uow: UnitOfWork,
    actor: Actor,
    agent_id: UUID,
    *,
    revision: str | None,
    note: str | None = None,
    now: datetime,
) -> ShownVersion:
    """Makes the draft the next version, which never changes again, and lets it answer from the next call on.

    InvalidInput with the first flaw of the draft; Conflict when it was saved since `revision` was read.
    """
    actor.must(Right.AGENTS_PUBLISH)
    agent = await row_to_change(uow, Agent, agent_id, _MISSING)
    _not_archived(agent)
    draft = await _draft(uow, agent)
    check_revision(revision, draft.revision)
    if draft.flaws:
        first = draft.flaws[0]
        raise InvalidInput(f"{first.field}: {first.message}.", field=first.field, code="draft_has_flaws")
    snapshot = AgentSnapshot.model_validate(draft.snapshot).model_dump(mode="json")
    newest = await uow.session.scalar(
        select(func.max(AgentVersion.version)).where(AgentVersion.agent_id == agent_id)
    )
    version = AgentVersion(
        id=uuid7(),
        organization_id=agent.organization_id,
        agent_id=agent_id,
        version=(newest or 0) + 1,
        snapshot=snapshot,
        published_at=now,
        author=actor.name,
        note=note,
    )
    uow.session.add(version)
    await uow.session.flush()
    before, agent.published_version_id = agent.published_version_id, version.id
    await uow.session.flush()
    await _tell(uow, actor, "agents.published", agent, version, before)
    return _shown_version(version, agent)


async def roll_back(
    uow: UnitOfWork, actor: Actor, agent_id: UUID, version_id: UUID, *, revision: str | None = None
) -> ShownVersion:
    """Lets an earlier version answer again. The draft stays as it is."""
    actor.must(Right.AGENTS_PUBLISH)
    agent = await row_to_change(uow, Agent, agent_id, _MISSING)
    check_revision(revision, revision_of(await get_agent(uow, actor, agent_id)))
    _not_archived(agent)
    version = await _version(uow, agent_id, version_id)
    before = agent.published_version_id
    if before != version.id:
        agent.published_version_id = version.id
        await uow.session.flush()
        await _tell(uow, actor, "agents.rolled_back", agent, version, before)
    return _shown_version(version, agent)


async def archive_agent(
    uow: UnitOfWork,
    actor: Actor,
    agent_id: UUID,
    *,
    archived: bool,
    revision: str | None = None,
    now: datetime,
) -> ShownAgent:
    """Takes an agent out of the way, or back. Conflict while a number still leads to it."""
    actor.must(Right.AGENTS_WRITE)
    agent = await row_to_change(uow, Agent, agent_id, _MISSING)
    shown = await get_agent(uow, actor, agent_id)
    check_revision(revision, revision_of(shown))
    if (agent.archived_at is not None) == archived:
        return shown
    if archived and shown.numbers:
        raise Conflict(
            f"The number {shown.numbers[0]} leads to this agent.",
            remedy="Give its numbers to another agent first.",
            code="agent_in_use",
        )
    agent.archived_at = now if archived else None
    if archived:
        agent.published_version_id = None
    await uow.session.flush()
    await record(uow, actor, "agents.archived" if archived else "agents.restored", f"agent:{agent_id}")
    return await get_agent(uow, actor, agent_id)


async def list_versions(
    uow: UnitOfWork, actor: Actor, agent_id: UUID, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownVersion]:
    """The versions of an agent, the newest first."""
    actor.must(Right.AGENTS_READ)
    agent = await uow.session.get(Agent, agent_id)
    if agent is None:
        raise NotFound(_MISSING)
    statement = select(AgentVersion).where(AgentVersion.agent_id == agent_id)
    rows = await uow.session.scalars(
        newest_first(statement, AgentVersion.created_at, AgentVersion.id, cursor, limit)
    )
    return one_page(
        rows.all(), limit, lambda row: (row.created_at, row.id), lambda row: _shown_version(row, agent)
    )


async def get_version(uow: UnitOfWork, actor: Actor, agent_id: UUID, version_id: UUID) -> FullVersion:
    actor.must(Right.AGENTS_READ)
    version = await _version(uow, agent_id, version_id)
    agent = await uow.session.get_one(Agent, agent_id)
    return FullVersion(**_shown_version(version, agent).model_dump(), snapshot=version.snapshot)


async def diff(
    uow: UnitOfWork, actor: Actor, agent_id: UUID, before_id: UUID, after_id: UUID | None
) -> list[Difference]:
    """What changed between two versions; `after_id` None: between a version and the draft."""
    before = (await get_version(uow, actor, agent_id, before_id)).snapshot
    if after_id is not None:
        return differences(before, (await get_version(uow, actor, agent_id, after_id)).snapshot)
    return differences(before, _completed((await get_draft(uow, actor, agent_id)).snapshot))


def _agents() -> Any:
    newest = (
        select(func.max(AgentVersion.version)).where(AgentVersion.agent_id == Agent.id).correlate(Agent)
    ).scalar_subquery()
    numbers = (
        select(func.array_agg(Number.number)).where(Number.agent_id == Agent.id).correlate(Agent)
    ).scalar_subquery()
    return (
        select(
            Agent,
            AgentVersion.version,
            AgentVersion.published_at,
            AgentVersion.snapshot.label("published"),
            AgentDraft.snapshot.label("draft"),
            newest.label("newest"),
            numbers.label("numbers"),
        )
        .outerjoin(AgentVersion, AgentVersion.id == Agent.published_version_id)
        .outerjoin(AgentDraft, AgentDraft.agent_id == Agent.id)
        .execution_options(populate_existing=True)
    )


def _shown_agent(row: Any) -> ShownAgent:
    agent: Agent = row.Agent
    return ShownAgent(
        id=agent.id,
        name=agent.name,
        created_at=agent.created_at,
        archived_at=agent.archived_at,
        published_version_id=agent.published_version_id,
        published_version=row.version,
        published_at=row.published_at,
        newest_version=row.newest,
        draft_differs=row.draft is not None
        and (row.published is None or _completed(row.draft) != row.published),
        numbers=sorted(row.numbers or []),
    )


def _shown_version(version: AgentVersion, agent: Agent) -> ShownVersion:
    return ShownVersion(
        id=version.id,
        agent_id=version.agent_id,
        version=version.version,
        published_at=version.published_at,
        author=version.author,
        note=version.note,
        is_live=version.id == agent.published_version_id,
    )


def _completed(draft: dict[str, Any]) -> dict[str, Any]:
    """The draft as it would be published: with the defaults; as it is, while it has flaws."""
    if flaws_of(draft):
        return draft
    return AgentSnapshot.model_validate(draft).model_dump(mode="json")


async def _draft(uow: UnitOfWork, agent: Agent) -> ShownDraft:
    row = await uow.session.scalar(select(AgentDraft).where(AgentDraft.agent_id == agent.id))
    if row is not None:
        snapshot, at, author = row.snapshot, row.updated_at, row.author
    else:
        published = agent.published_version_id
        version = await uow.session.get(AgentVersion, published) if published else None
        snapshot = version.snapshot if version else {"name": agent.name}
        at, author = (version.created_at if version else agent.created_at), None
    return ShownDraft(
        agent_id=agent.id,
        snapshot=snapshot,
        updated_at=at,
        author=author,
        revision=revision_of({"snapshot": snapshot, "at": at.isoformat()}),
        flaws=flaws_of(snapshot),
    )


async def _version(uow: UnitOfWork, agent_id: UUID, version_id: UUID) -> AgentVersion:
    version = await uow.session.get(AgentVersion, version_id)
    if version is None or version.agent_id != agent_id:
        raise NotFound("The version does not exist.")
    return version


async def _named(uow: UnitOfWork, agent: Agent, name: str) -> None:
    try:
        async with uow.session.begin_nested():
            agent.name = name
            uow.session.add(agent)
    except IntegrityError as error:
        raise Conflict(f"There is an agent named {name} already.", code="name_taken") from error


def _not_archived(agent: Agent) -> None:
    if agent.archived_at is not None:
        raise Conflict("The agent is archived.", remedy="Restore it first.", code="agent_archived")


async def _tell(
    uow: UnitOfWork, actor: Actor, action: str, agent: Agent, version: AgentVersion, before: UUID | None
) -> None:
    told = {"agent_id": str(agent.id), "version_id": str(version.id), "version": version.version}
    await announce(uow, "agent.version_published", f"agents/{agent.id}", told)
    await record(
        uow,
        actor,
        action,
        f"agent:{agent.id}",
        before={"version_id": before},
        after={"version_id": version.id, "version": version.version},
    )
