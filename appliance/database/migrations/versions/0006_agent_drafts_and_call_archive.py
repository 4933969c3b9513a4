"""Drafts and archived agents, what finds a call again, notes of members, events of live calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = (
    "agent_drafts",
    "call_summaries",
    "saved_filters",
    "share_links",
)
TENANT = "nullif(current_setting('app.organization_id', true), '')::uuid"
_SEARCH = """
CREATE FUNCTION calls_with_words(
    wanted text, since timestamptz, until timestamptz, before_at timestamptz, before_id uuid, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $body$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT s.call_id, s.call_created_at FROM public.call_summaries s
         WHERE s.organization_id = $1 AND s.words @@ websearch_to_tsquery(''simple'', $2)
         AND ($3 IS NULL OR s.call_created_at >= $3) AND ($4 IS NULL OR s.call_created_at < $4)
         AND ($5 IS NULL OR (s.call_created_at, s.call_id) < ($5, $6))
         ORDER BY s.call_created_at DESC, s.call_id DESC LIMIT $7'
    USING nullif(current_setting('app.organization_id', true), '')::uuid, wanted, since, until,
        before_at, before_id, at_most;
END $body$
"""
"""PostgreSQL uses no word index under row-level security, since `@@` is not leakproof. The function names
the tenant itself, and runs as the owner, who has a policy for it."""
_SEARCH_NAME = "calls_with_words(text, timestamptz, timestamptz, timestamptz, uuid, integer)"
_NOTIFY = """
CREATE FUNCTION tell_of_call() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
DECLARE
    kind text := 'changed';
    call uuid;
BEGIN
    IF TG_TABLE_NAME = 'turns' THEN
        kind := 'turn';
        call := NEW.call_id;
    ELSE
        call := NEW.id;
        IF TG_OP = 'INSERT' THEN
            kind := 'started';
        ELSIF NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL THEN
            kind := 'ended';
        END IF;
    END IF;
    PERFORM pg_notify('trunkline_calls', json_build_object(
        'organization_id', NEW.organization_id, 'call_id', call, 'kind', kind)::text);
    RETURN NULL;
END $body$
"""


def upgrade() -> None:
    app, _router, owner = _roles()
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.create_table(
        "saved_filters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_saved_filters_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_saved_filters"),
    )
    op.create_index("ix_saved_filters_organization_id", "saved_filters", ["organization_id"], unique=False)
    op.create_index(
        "uq_saved_filters_owner_name", "saved_filters", ["organization_id", "owner", "name"], unique=True
    )
    op.create_table(
        "agent_drafts",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "agent_id"],
            ["agents.organization_id", "agents.id"],
            name="fk_agent_drafts_organization_id_agent_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_agent_drafts_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_drafts"),
        sa.UniqueConstraint("agent_id", name="uq_agent_drafts_agent_id"),
    )
    op.create_index("ix_agent_drafts_organization_id", "agent_drafts", ["organization_id"], unique=False)
    op.create_table(
        "call_summaries",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("call_created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("latency_p50_ms", sa.Double(), nullable=True),
        sa.Column("latency_p95_ms", sa.Double(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "call_id"],
            ["calls.organization_id", "calls.id"],
            name="fk_call_summaries_organization_id_call_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_call_summaries_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_call_summaries"),
        sa.UniqueConstraint("call_id", name="uq_call_summaries_call_id"),
    )
    op.create_index(
        "ix_call_summaries_newest",
        "call_summaries",
        ["organization_id", sa.text("call_created_at DESC"), sa.text("call_id DESC")],
        unique=False,
    )
    op.create_index("ix_call_summaries_organization_id", "call_summaries", ["organization_id"], unique=False)
    op.create_index(
        "ix_call_summaries_words",
        "call_summaries",
        ["organization_id", "words"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_table(
        "share_links",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("with_recording", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "call_id"],
            ["calls.organization_id", "calls.id"],
            name="fk_share_links_organization_id_call_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_share_links_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_share_links"),
    )
    op.create_index("ix_share_links_call_id", "share_links", ["call_id"], unique=False)
    op.create_index("ix_share_links_organization_id", "share_links", ["organization_id"], unique=False)
    op.add_column("agent_versions", sa.Column("author", sa.Text(), nullable=True))
    op.add_column("agent_versions", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("call_notes", sa.Column("author", sa.Text(), nullable=True))
    op.add_column("call_notes", sa.Column("done_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("call_notes", sa.Column("done_by", sa.Text(), nullable=True))
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO {app} "
            f"USING (organization_id = {TENANT}) WITH CHECK (organization_id = {TENANT})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app}")
    op.execute(f"CREATE POLICY search ON call_summaries FOR SELECT TO {owner} USING (true)")
    op.execute(_SEARCH)
    op.execute(f"REVOKE ALL ON FUNCTION {_SEARCH_NAME} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_SEARCH_NAME} TO {app}")
    op.execute(_NOTIFY)
    op.execute(
        "CREATE TRIGGER tell_of_call AFTER INSERT OR UPDATE OF status, outcome, ended_at ON calls "
        "FOR EACH ROW EXECUTE FUNCTION tell_of_call()"
    )
    op.execute(
        "CREATE TRIGGER tell_of_turn AFTER INSERT OR UPDATE ON turns "
        "FOR EACH ROW EXECUTE FUNCTION tell_of_call()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_of_turn ON turns")
    op.execute("DROP TRIGGER tell_of_call ON calls")
    op.execute("DROP FUNCTION tell_of_call()")
    op.execute(f"DROP FUNCTION {_SEARCH_NAME}")
    op.drop_column("call_notes", "done_by")
    op.drop_column("call_notes", "done_at")
    op.drop_column("call_notes", "author")
    op.drop_column("agents", "archived_at")
    op.drop_column("agent_versions", "note")
    op.drop_column("agent_versions", "author")
    for table in reversed(TABLES):
        op.drop_table(table)


def _roles() -> tuple[str, str, str]:
    database = context.config.attributes["database"]
    quote = op.get_bind().dialect.identifier_preparer.quote
    return quote(database.app_user), quote(database.router_user), quote(database.owner_user)
