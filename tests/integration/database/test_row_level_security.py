"""An organization sees and changes its own rows; the router reads what admission needs; nobody bypasses."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, delete, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from appliance.agents.tables import AgentVersion
from appliance.calls.tables import Call, Turn
from appliance.database.identifiers import uuid7
from appliance.database.tables import metadata
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization
from appliance.scheduling.tables import Order
from appliance.telephony.tables import Number
from tests.integration.database.world import Data, Tenant

SHARED = {
    "box",
    "audit_entries",
    "audit_heads",
    "audit_signatures",
    "console_sessions",
    "console_used_tokens",
}
"""Of the whole box, or with a policy of another kind that tests/console/identity holds."""
TABLES = [table for table in metadata.sorted_tables if table.name not in SHARED]
ROUTER_READS = {
    *("organizations", "agents", "agent_versions", "trunks", "numbers", "calls", "recordings"),
    *("api_keys", "webhook_deliveries", "widgets", "inbound_hooks", "inbound_requests"),
}
ROUTER_NEVER_READS = {
    "calls": {"caller", "called", "caller_name", "quality"},
    "recordings": {"wrapped_data_key"},
    "api_keys": {"secret_hash", "scopes"},
    "webhook_deliveries": {"payload"},
    "inbound_hooks": {"secret", "secret_hash", "rules"},
    "inbound_requests": {"document", "called", "title"},
    "widgets": {"origins", "title"},
}


def _owner_column(table: Table):
    return table.c.id if table.name == "organizations" else table.c.organization_id


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_table_is_forced_under_a_policy(data: Data, table: Table) -> None:
    async with data.work(None) as uow:
        enabled, forced, policies = (
            await uow.session.execute(
                text(
                    "SELECT relrowsecurity, relforcerowsecurity, ARRAY(SELECT polname::text FROM pg_policy "
                    "WHERE polrelid = c.oid) FROM pg_class c WHERE oid = CAST(:name AS regclass)"
                ),
                {"name": table.name},
            )
        ).one()
    assert (enabled, forced) == (True, True)
    assert "tenant" in policies
    assert table.name == "organizations" or "organization_id" in table.c


async def test_no_table_of_the_database_is_unknown_here(data: Data) -> None:
    async with data.app.connect() as connection:
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names(schema="public")))
    assert names == {table.name for table in metadata.sorted_tables} | {"alembic_version"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_a_foreign_tenant_sees_and_changes_nothing(data: Data, tenant: Tenant, table: Table) -> None:
    rows = select(func.count()).select_from(table)
    mine = _owner_column(table) == tenant.organization_id
    async with data.work(tenant.organization_id) as uow:
        assert await uow.session.scalar(rows) == 1, "the test's world has no row in this table"
    async with data.tenant() as other, data.work(other.organization_id) as uow:
        assert await uow.session.scalar(rows.where(mine)) == 0
        assert await uow.session.scalar(rows) == 1
        if table.name != "agent_versions":
            touched = await uow.session.execute(update(table).where(mine).values(created_at=func.now()))
            assert touched.rowcount == 0
        removed = await uow.session.execute(delete(table).where(mine))
        assert removed.rowcount == 0
    async with data.work(None) as uow:
        assert await uow.session.scalar(rows) == 0, "without a tenant nothing may be seen"
    async with data.work(tenant.organization_id) as uow:
        assert await uow.session.scalar(rows) == 1


async def test_a_row_cannot_be_written_for_another_tenant(data: Data, tenant: Tenant) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with data.work(uuid7()) as uow:
            uow.session.add(Order(organization_id=tenant.organization_id, items=[], name="x"))


async def test_a_row_cannot_be_given_to_another_tenant(data: Data, tenant: Tenant) -> None:
    async with data.tenant() as other:
        with pytest.raises(DBAPIError, match="row-level security"):
            async with data.work(tenant.organization_id) as uow:
                await uow.session.execute(update(Order).values(organization_id=other.organization_id))


async def test_a_reference_cannot_name_another_tenants_row(data: Data, tenant: Tenant) -> None:
    async with data.tenant() as other:
        with pytest.raises(IntegrityError, match="fk_turns_organization_id_call_id"):
            async with data.work(other.organization_id) as uow:
                uow.session.add(Turn(organization_id=other.organization_id, call_id=tenant.call_id, index=7))


async def test_the_tenant_ends_with_the_transaction(data: Data, tenant: Tenant) -> None:
    async with data.work(tenant.organization_id) as uow:
        assert await uow.session.scalar(select(func.count()).select_from(Call)) == 1
        await uow.commit()
        assert await uow.session.scalar(select(func.count()).select_from(Call)) == 1
    for _ in range(data.app.pool.size() + 1):
        async with data.app.connect() as connection:
            setting = await connection.scalar(text("SELECT current_setting('app.organization_id', true)"))
            assert setting in (None, "")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_the_router_reads_what_it_needs_and_writes_nothing(
    data: Data, tenant: Tenant, table: Table
) -> None:
    hidden = ROUTER_NEVER_READS.get(table.name, set())
    for column in table.c:
        statement = select(column).where(_owner_column(table) == tenant.organization_id)
        if table.name in ROUTER_READS and column.name not in hidden:
            if table.name in ROUTER_NEVER_READS and column.name not in {"id", "organization_id", "status"}:
                continue
            async with UnitOfWork(data.router, None) as uow:
                assert len((await uow.session.execute(statement)).all()) == 1
        elif table.name not in ROUTER_READS or column.name in hidden:
            with pytest.raises(DBAPIError, match="permission denied"):
                async with UnitOfWork(data.router, None) as uow:
                    await uow.session.execute(statement)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with UnitOfWork(data.router, None) as uow:
            await uow.session.execute(delete(table))


async def test_no_role_bypasses_or_owns_more_than_it_should(data: Data) -> None:
    async with data.work(None) as uow:
        rows = await uow.session.execute(
            text(
                "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole AS dangerous FROM pg_roles "
                "WHERE rolname LIKE 'trunkline%'"
            )
        )
        roles = {row.rolname: row.dangerous for row in rows}
        owners = await uow.session.scalars(
            text("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'jobs')")
        )
        assert set(owners) == {"trunkline_owner"}
    assert set(roles) == {"trunkline_owner", "trunkline_app", "trunkline_router"}
    assert not any(roles.values())


async def test_a_published_version_cannot_be_rewritten(data: Data, tenant: Tenant) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with data.work(tenant.organization_id) as uow:
            await uow.session.execute(update(AgentVersion).values(snapshot={}))


async def test_the_box_counts_the_calls_of_all_tenants(data: Data, tenant: Tenant) -> None:
    count = text("SELECT box_calls_in_progress()")
    async with data.tenant() as other, data.work(tenant.organization_id) as uow:
        with_other = await uow.session.scalar(count)
        async with data.work(other.organization_id) as theirs:
            await theirs.session.execute(update(Call).values(ended_at=func.now()))
        assert await uow.session.scalar(count) == with_other - 1


async def test_a_deleted_organization_leaves_nothing(data: Data) -> None:
    async with data.tenant() as tenant:
        pass
    async with UnitOfWork(data.router, None) as uow:
        for table in (Organization.id, Number.organization_id, Call.organization_id):
            assert (
                await uow.session.scalars(select(table).where(table == tenant.organization_id))
            ).all() == []
