"""Agents: the list, the editor of a draft, versions and what changed between them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import TypeAdapter, ValidationError

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.agents.editing_domain import AgentName, ShownAgent, ShownDraft, differences
from appliance.database.revision import CHANGED, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput
from appliance.organizations.settings_service import settings_of
from appliance.tools import functions
from appliance.tools.functions_domain import ShownFunction
from console.agents import test_call
from console.agents.form import SECTIONS, ShownDifference, sentences_of, shown, snapshot_of, values_of
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.work import Work

NAVIGATION = [NavigationEntry("Agents", "/agents", Right.AGENTS_READ, order=30, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
_NAME = TypeAdapter[str](AgentName)
_NOTE_LETTERS = 500
FIRST_DRAFT = {
    "prompt": "You answer the telephone. Be brief and friendly.",
    "greeting": "Hello, how can I help you?",
}


@get("/agents", right=Right.AGENTS_READ)
async def list_agents(request: AnyRequest, page: Page, work: Work, actor: Actor) -> Response[str]:
    return await _list(page, work, actor, archived=request.query_params.get("show") == "archived")


async def _list(
    page: Page, work: Work, actor: Actor, *, archived: bool = False, name: str = "", error: str = ""
) -> Response[str]:
    async with work.tenant() as uow:
        agents = (await editing.list_agents(uow, actor, archived=archived, limit=200)).items
    return page.render(
        "agents/list.html",
        status_code=422 if error else 200,
        agents=agents,
        archived=archived,
        name=name,
        error=error,
    )


@post("/agents", right=Right.AGENTS_WRITE)
async def create(page: Page, work: Work, actor: Actor, data: Form) -> Response[str] | Redirect:
    typed = data.get("name", "")
    try:
        name = _NAME.validate_python(typed)
        async with work.tenant() as uow:
            consent = (await settings_of(uow)).consent.text
            first = {"name": name, "consent": consent, **FIRST_DRAFT}
            agent = await editing.create_agent(uow, actor, name, first)
    except ValidationError:
        return await _list(page, work, actor, name=typed, error="Give a name of 1 to 120 letters.")
    except Conflict as error:
        return await _list(page, work, actor, name=typed, error=str(error))
    return page.redirect(
        f"/agents/{agent.id}", notice=f"{agent.name} is there. Write what it should do, then publish it."
    )


@get("/agents/{agent_id:uuid}", right=Right.AGENTS_READ)
async def edit(page: Page, work: Work, actor: Actor, agent_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        draft = await editing.get_draft(uow, actor, agent_id)
        own = await _own_functions(uow, actor)
    return _editor(page, agent, draft, values_of(draft.snapshot), own)


async def _own_functions(uow: UnitOfWork, actor: Actor) -> list[ShownFunction]:
    if not actor.may(Right.FUNCTIONS_READ):
        return []
    return (await functions.list_functions(uow, actor, limit=200)).items


def _editor(
    page: Page,
    agent: ShownAgent,
    draft: ShownDraft,
    values: dict[str, Any],
    own: list[ShownFunction],
    *,
    status_code: int = 200,
    theirs: list[ShownDifference] | None = None,
) -> Response[str]:
    return page.render(
        "agents/edit.html",
        status_code=status_code,
        agent=agent,
        draft=draft,
        sections=SECTIONS,
        values=values,
        functions=_choices(own, values["functions"]),
        errors=sentences_of(draft.flaws),
        theirs=theirs,
        agent_revision=revision_of(agent),
        tab="draft",
    )


def _choices(own: list[ShownFunction], chosen: list[Any]) -> list[tuple[str, str, bool]]:
    """Name, what it does, whether it is chosen; one that is gone stays in sight until it is taken out."""
    known = [(each.name, each.description, each.name in chosen) for each in own]
    names = {name for name, _, _ in known}
    gone = [
        (str(name), "There is no such function (any more).", True) for name in chosen if name not in names
    ]
    return known + gone


@post("/agents/{agent_id:uuid}/draft", right=Right.AGENTS_WRITE)
async def save(page: Page, work: Work, actor: Actor, agent_id: UUID, data: Form) -> Response[str] | Redirect:
    """Saves; when somebody else saved meanwhile, shows what is different and asks."""
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        stored = await editing.get_draft(uow, actor, agent_id)
        snapshot = snapshot_of(data, stored.snapshot)
        try:
            draft = await editing.save_draft(
                uow, actor, agent_id, snapshot, revision=data.get("revision") or None, now=datetime.now(UTC)
            )
        except Conflict as error:
            if error.code != CHANGED:
                raise
            theirs = shown(differences(stored.snapshot, snapshot))
            own = await _own_functions(uow, actor)
            return _editor(page, agent, stored, values_of(snapshot), own, status_code=409, theirs=theirs)
    if draft.flaws:
        count = len(sentences_of(draft.flaws))
        what = "one field" if count == 1 else f"{count} fields"
        return page.redirect(f"/agents/{agent_id}#flaws", notice=f"Saved. Mend {what} before you publish.")
    after = data.get("then", "")
    target = {"test": "/test", "publish": "/publish"}.get(after, "")
    return page.redirect(f"/agents/{agent_id}{target}", notice="The draft is saved.")


@get("/agents/{agent_id:uuid}/publish", right=Right.AGENTS_PUBLISH)
async def confirm_publish(page: Page, work: Work, actor: Actor, agent_id: UUID) -> Response[str]:
    """What will change for callers, before it does."""
    return await _confirmation(page, work, actor, agent_id)


async def _confirmation(
    page: Page, work: Work, actor: Actor, agent_id: UUID, *, error: str = "", note: str = ""
) -> Response[str]:
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        draft = await editing.get_draft(uow, actor, agent_id)
        live = agent.published_version_id
        changes = shown(await editing.diff(uow, actor, agent_id, live, None)) if live else None
    return page.render(
        "agents/publish.html",
        status_code=409 if error else 200,
        agent=agent,
        draft=draft,
        changes=changes,
        errors=sentences_of(draft.flaws),
        error=error,
        note=note,
        tab="publish",
    )


@post("/agents/{agent_id:uuid}/publish", right=Right.AGENTS_PUBLISH)
async def publish(
    page: Page, work: Work, actor: Actor, agent_id: UUID, data: Form
) -> Response[str] | Redirect:
    note = data.get("note", "").replace("\x00", "").strip()[:_NOTE_LETTERS]
    try:
        async with work.tenant() as uow:
            version = await editing.publish(
                uow,
                actor,
                agent_id,
                revision=data.get("revision") or None,
                note=note or None,
                now=datetime.now(UTC),
            )
    except (Conflict, InvalidInput) as error:
        return await _confirmation(page, work, actor, agent_id, error=str(error), note=note)
    return page.redirect(
        f"/agents/{agent_id}/versions", notice=f"Version {version.version} answers from the next call on."
    )


@get("/agents/{agent_id:uuid}/versions", right=Right.AGENTS_READ)
async def versions(
    request: AnyRequest, page: Page, work: Work, actor: Actor, agent_id: UUID
) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        found = await editing.list_versions(uow, actor, agent_id, cursor=cursor)
    base = f"/agents/{agent_id}/versions"
    return page.render(
        "agents/versions.html",
        agent=agent,
        versions=found.items,
        first=base if cursor else "",
        next=f"{base}?cursor={found.next_cursor}" if found.next_cursor else "",
        agent_revision=revision_of(agent),
        tab="versions",
    )


@get("/agents/{agent_id:uuid}/versions/{version_id:uuid}", right=Right.AGENTS_READ)
async def one_version(
    request: AnyRequest, page: Page, work: Work, actor: Actor, agent_id: UUID, version_id: UUID
) -> Response[str]:
    """A version as it is, and what changed from it to another one (`?to=<version id>`) or to the draft."""
    to = request.query_params.get("to", "")
    try:
        other = UUID(to) if to else None
    except ValueError as error:
        raise InvalidInput("There is no such version.", field="to") from error
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        version = await editing.get_version(uow, actor, agent_id, version_id)
        known = (await editing.list_versions(uow, actor, agent_id, limit=100)).items
        changes = shown(await editing.diff(uow, actor, agent_id, version_id, other))
    return page.render(
        "agents/version.html",
        agent=agent,
        version=version,
        known=known,
        to=to,
        changes=changes,
        sections=SECTIONS,
        values=values_of(version.snapshot),
        agent_revision=revision_of(agent),
        tab="versions",
    )


@post("/agents/{agent_id:uuid}/versions/{version_id:uuid}/roll-back", right=Right.AGENTS_PUBLISH)
async def roll_back(
    page: Page, work: Work, actor: Actor, agent_id: UUID, version_id: UUID, data: Form
) -> Redirect:
    back = f"/agents/{agent_id}/versions"
    try:
        async with work.tenant() as uow:
            version = await editing.roll_back(
                uow, actor, agent_id, version_id, revision=data.get("revision") or None
            )
    except Conflict as error:
        return page.redirect(back, notice=str(error), bad=True)
    return page.redirect(back, notice=f"Version {version.version} answers again.")


@post("/agents/{agent_id:uuid}/archive", right=Right.AGENTS_WRITE)
async def archive(page: Page, work: Work, actor: Actor, agent_id: UUID, data: Form) -> Redirect:
    """Takes the agent out of the way, or brings it back (`back=1`)."""
    restore = "back" in data
    try:
        async with work.tenant() as uow:
            await editing.archive_agent(uow, actor, agent_id, archived=not restore, now=datetime.now(UTC))
    except Conflict as error:
        return page.redirect(f"/agents/{agent_id}", notice=str(error), bad=True)
    if restore:
        return page.redirect(f"/agents/{agent_id}", notice="The agent is back. Publish it to let it answer.")
    return page.redirect("/agents", notice="The agent is archived; “Archived” brings it back.")


ROUTES = [
    list_agents,
    create,
    edit,
    save,
    confirm_publish,
    publish,
    versions,
    one_version,
    roll_back,
    archive,
    *test_call.ROUTES,
]
