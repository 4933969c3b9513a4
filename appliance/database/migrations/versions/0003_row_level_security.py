"""Each organization sees its own rows; the app and the router get what they need and no more."""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TENANT_TABLES = (
    "agents",
    "agent_versions",
    "trunks",
    "numbers",
    "opening_hours",
    "holidays",
    "calendars",
    "bookings",
    "orders",
    "calls",
    "call_events",
    "turns",
    "transcript_segments",
    "tool_calls",
    "call_notes",
    "recordings",
)
TENANT = "nullif(current_setting('app.organization_id', true), '')::uuid"
ROUTER_READS = {
    "organizations": "*",
    "agents": "*",
    "agent_versions": "*",
    "trunks": "*",
    "numbers": "*",
    "calls": "id, organization_id, number_id, trunk_id, direction, status, attempt, room_name, created_at, "
    "last_news_at, answered_at, ended_at, finished_at",
    "recordings": "id, organization_id, call_id, attempt, bucket, object, state, sha256, size_bytes, "
    "seconds, created_at, sealed_at, stored_at",
}
"""Whose call an INVITE or a report is, is asked before the organization is known: no words, names or keys."""


def upgrade() -> None:
    app, router, owner = _roles()
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {app}, {router}")
    for table in ("organizations", *TENANT_TABLES):
        column = "id" if table == "organizations" else "organization_id"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO {app} "
            f"USING ({column} = {TENANT}) WITH CHECK ({column} = {TENANT})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app}")
    for table, columns in ROUTER_READS.items():
        op.execute(f"CREATE POLICY router ON {table} FOR SELECT TO {router} USING (true)")
        op.execute(f"GRANT SELECT {'' if columns == '*' else f'({columns})'} ON {table} TO {router}")
    # A version is written once: what a call was answered with must remain readable as it was.
    op.execute(f"REVOKE UPDATE ON agent_versions FROM {app}")
    op.execute(f"GRANT UPDATE (published_at) ON agent_versions TO {app}")
    op.execute(f"GRANT SELECT ON box, alembic_version TO {app}, {router}")
    # Admission counts the calls of the whole box, and is told the sum alone.
    op.execute(f"CREATE POLICY box_count ON calls FOR SELECT TO {owner} USING (true)")
    op.execute(
        "CREATE FUNCTION box_calls_in_progress() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER "
        "SET search_path = pg_catalog, public "
        "AS 'SELECT count(*) FROM public.calls WHERE ended_at IS NULL'"
    )
    op.execute("REVOKE ALL ON FUNCTION box_calls_in_progress() FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION box_calls_in_progress() TO {app}, {router}")


def downgrade() -> None:
    app, router, _owner = _roles()
    op.execute("DROP FUNCTION box_calls_in_progress()")
    op.execute("DROP POLICY box_count ON calls")
    op.execute(f"REVOKE ALL ON box, alembic_version FROM {app}, {router}")
    for table in ROUTER_READS:
        op.execute(f"DROP POLICY router ON {table}")
    for table in ("organizations", *TENANT_TABLES):
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM {app}, {router}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {app}, {router}")


def _roles() -> tuple[str, str, str]:
    database = context.config.attributes["database"]
    quote = op.get_bind().dialect.identifier_preparer.quote
    return quote(database.app_user), quote(database.router_user), quote(database.owner_user)
