"""Agents: drafts, versions, which of them answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from litestar.params import Parameter
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.agents.editing_domain import (
    AgentName,
    Difference,
    DraftInput,
    FullVersion,
    ShownAgent,
    ShownDraft,
    ShownVersion,
)
from appliance.database.paging import Listed
from appliance.wire import JsonObject, ShortText
from console.api.answers import (
    Cursor,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Limit,
    amends,
    creates,
    etag,
    expected_revision,
    reads,
    replaces,
    tagged,
)
from console.web.work import Work


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentInput(Given):
    name: AgentName = Field(examples=["Reception"])
    snapshot: JsonObject | None = None
    """The draft to begin with; a plain one where it is left out."""


class AgentChange(Given):
    name: AgentName | None = None
    archived: bool | None = None


class PublishInput(Given):
    note: ShortText | None = Field(default=None, examples=["Shorter greeting"])


@reads("/agents", right=Right.AGENTS_READ, operation="listAgents", one=False)
async def list_agents(
    actor: Actor,
    work: Work,
    limit: Limit,
    cursor: Cursor = None,
    archived: Annotated[bool, Parameter(query="archived", required=False)] = False,
) -> Listed[ShownAgent]:
    """The agents, the newest first: those at work, or the archived ones."""
    async with work.tenant() as uow:
        return await editing.list_agents(uow, actor, archived=archived, cursor=cursor, limit=limit)


@creates("/agents", right=Right.AGENTS_WRITE, operation="createAgent")
async def create_agent(
    actor: Actor, work: Work, data: AgentInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownAgent]:
    """A new agent with a draft; it answers nothing until a version is published."""
    async with work.tenant() as uow:
        shown = await editing.create_agent(uow, actor, data.name, data.snapshot)
    return tagged(shown, status=201, location=f"/api/v1/agents/{shown.id}")


@reads("/agents/{agent_id:uuid}", right=Right.AGENTS_READ, operation="getAgent")
async def get_agent(
    actor: Actor, work: Work, agent_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownAgent]:
    """One agent, with its live version and its numbers."""
    async with work.tenant() as uow:
        return tagged(await editing.get_agent(uow, actor, agent_id), if_none_match=if_none_match)


@amends("/agents/{agent_id:uuid}", right=Right.AGENTS_WRITE, operation="changeAgent")
async def change_agent(
    actor: Actor, work: Work, agent_id: UUID, data: AgentChange, if_match: IfMatch = None
) -> Response[ShownAgent]:
    """Renames, archives or restores an agent."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        shown = await editing.get_agent(uow, actor, agent_id)
        if data.name is not None:
            shown = await editing.rename_agent(uow, actor, agent_id, data.name, revision=revision)
            revision = None
        if data.archived is not None:
            shown = await editing.archive_agent(
                uow, actor, agent_id, archived=data.archived, revision=revision, now=datetime.now(UTC)
            )
    return tagged(shown)


@reads("/agents/{agent_id:uuid}/draft", right=Right.AGENTS_READ, operation="getDraft")
async def get_draft(actor: Actor, work: Work, agent_id: UUID) -> Response[ShownDraft]:
    """What the next version will be, and what is still wrong with it."""
    async with work.tenant() as uow:
        return _draft(await editing.get_draft(uow, actor, agent_id))


@replaces("/agents/{agent_id:uuid}/draft", right=Right.AGENTS_WRITE, operation="saveDraft")
async def save_draft(
    actor: Actor, work: Work, agent_id: UUID, data: DraftInput, if_match: IfMatch = None
) -> Response[ShownDraft]:
    """Keeps the draft, also an unfinished one; its flaws are in the answer."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return _draft(
            await editing.save_draft(
                uow, actor, agent_id, data.snapshot, revision=revision, now=datetime.now(UTC)
            )
        )


@creates("/agents/{agent_id:uuid}/publish", right=Right.AGENTS_PUBLISH, operation="publishAgent")
async def publish(
    actor: Actor,
    work: Work,
    agent_id: UUID,
    data: PublishInput,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> ShownVersion:
    """Makes the draft the next version; it answers from the next call on. If-Match: the draft's ETag."""
    revision = expected_revision(if_match) if if_match is not None else None
    async with work.tenant() as uow:
        return await editing.publish(
            uow, actor, agent_id, revision=revision, note=data.note, now=datetime.now(UTC)
        )


@reads("/agents/{agent_id:uuid}/versions", right=Right.AGENTS_READ, operation="listVersions")
async def list_versions(
    actor: Actor, work: Work, agent_id: UUID, limit: Limit, cursor: Cursor = None
) -> Listed[ShownVersion]:
    """The versions, the newest first."""
    async with work.tenant() as uow:
        return await editing.list_versions(uow, actor, agent_id, cursor=cursor, limit=limit)


@reads("/agents/{agent_id:uuid}/versions/{version_id:uuid}", right=Right.AGENTS_READ, operation="getVersion")
async def get_version(actor: Actor, work: Work, agent_id: UUID, version_id: UUID) -> FullVersion:
    """A version as it was published."""
    async with work.tenant() as uow:
        return await editing.get_version(uow, actor, agent_id, version_id)


@creates(
    "/agents/{agent_id:uuid}/versions/{version_id:uuid}/roll-back",
    right=Right.AGENTS_PUBLISH,
    operation="rollBack",
    status=200,
)
async def roll_back(
    actor: Actor, work: Work, agent_id: UUID, version_id: UUID, idempotency_key: IdempotencyKey = None
) -> ShownVersion:
    """Lets this version answer again."""
    async with work.tenant() as uow:
        return await editing.roll_back(uow, actor, agent_id, version_id)


@reads("/agents/{agent_id:uuid}/diff", right=Right.AGENTS_READ, operation="diffVersions")
async def diff(
    actor: Actor,
    work: Work,
    agent_id: UUID,
    before: Annotated[UUID, Parameter(query="before", description="A version")],
    after: Annotated[
        UUID | None, Parameter(query="after", required=False, description="A version; none: the draft")
    ] = None,
) -> list[Difference]:
    """What is not the same in two versions, field by field."""
    async with work.tenant() as uow:
        return await editing.diff(uow, actor, agent_id, before, after)


def _draft(shown: ShownDraft) -> Response[ShownDraft]:
    return Response(shown, headers={"ETag": etag(shown.revision)})


HANDLERS: list[Any] = [
    list_agents,
    create_agent,
    get_agent,
    change_agent,
    get_draft,
    save_draft,
    publish,
    list_versions,
    get_version,
    roll_back,
    diff,
]
