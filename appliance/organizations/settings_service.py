"""An organization's own settings: read by all its members, changed by its administrators."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations import console_tables
from appliance.organizations.domain import OrganizationInput, OrganizationSettings, ShownOrganization
from appliance.organizations.tables import Organization


async def get_organization(uow: UnitOfWork, actor: Actor) -> ShownOrganization:
    """The actor's organization and its settings."""
    actor.must(Right.ORGANIZATION_READ)
    return await _shown(uow)


async def change_organization(
    uow: UnitOfWork, actor: Actor, wanted: OrganizationInput, *, revision: str | None
) -> ShownOrganization:
    """Sets everything anew. Conflict when somebody changed it since `revision` was read."""
    actor.must(Right.ORGANIZATION_WRITE)
    organization = await uow.session.scalar(
        select(Organization)
        .where(Organization.id == uow.organization_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if organization is None:
        raise NotFound("The organization does not exist.")
    before = await _shown(uow)
    check_revision(revision, revision_of(before))
    organization.name, organization.timezone = wanted.name, wanted.timezone
    organization.language = wanted.language
    row = await _row(uow)
    if row is None:
        row = console_tables.OrganizationSettings(id=uuid7(), organization_id=organization.id, settings={})
        uow.session.add(row)
    row.settings = OrganizationSettings.model_validate(
        {name: getattr(wanted, name) for name in OrganizationSettings.model_fields}
    ).model_dump(mode="json")
    await uow.session.flush()
    after = await _shown(uow)
    await record(
        uow,
        actor,
        "organization.changed",
        f"organization:{organization.id}",
        before=before.model_dump(mode="json"),
        after=after.model_dump(mode="json"),
    )
    return after


async def settings_of(uow: UnitOfWork) -> OrganizationSettings:
    """The settings, or the defaults where nothing was set. Asks no right: for the box's own work."""
    row = await _row(uow)
    return OrganizationSettings.model_validate(row.settings if row else {})


async def _row(uow: UnitOfWork) -> console_tables.OrganizationSettings | None:
    return await uow.session.scalar(select(console_tables.OrganizationSettings))


async def _shown(uow: UnitOfWork) -> ShownOrganization:
    organization_id: UUID | None = uow.organization_id
    organization = await uow.session.scalar(select(Organization).where(Organization.id == organization_id))
    if organization is None:
        raise NotFound("The organization does not exist.")
    settings = await settings_of(uow)
    return ShownOrganization.model_construct(
        **{name: getattr(settings, name) for name in OrganizationSettings.model_fields},
        id=organization.id,
        slug=organization.slug,
        name=organization.name,
        timezone=organization.timezone,
        language=organization.language,
        max_calls=organization.max_calls,
        created_at=organization.created_at,
    )
