"""Calls are found by part of a number, by outcome, agent and latency, however many there are."""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_FUNCTION = "calls_with_number(text, timestamptz, timestamptz, timestamptz, uuid, integer)"
_SEARCH = """
CREATE FUNCTION calls_with_number(
    part text, since timestamptz, until timestamptz, before_at timestamptz, before_id uuid, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $body$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT c.id, c.created_at FROM public.calls c
         WHERE c.organization_id = $1 AND (c.caller LIKE $2 OR c.called LIKE $2)
         AND ($3 IS NULL OR c.created_at >= $3) AND ($4 IS NULL OR c.created_at < $4)
         AND ($5 IS NULL OR (c.created_at, c.id) < ($5, $6))
         ORDER BY c.created_at DESC, c.id DESC LIMIT $7'
    USING nullif(current_setting('app.organization_id', true), '')::uuid,
        '%' || replace(replace(replace(part, '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%',
        since, until, before_at, before_id, at_most;
END $body$
"""
"""As `calls_with_words`: LIKE is not leakproof, so that no index serves it under row-level security."""


def upgrade() -> None:
    database = context.config.attributes["database"]
    app = op.get_bind().dialect.identifier_preparer.quote(database.app_user)
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for column in ("caller", "called"):
        op.execute(
            f"CREATE INDEX ix_calls_{column}_parts ON calls "
            f"USING gin (organization_id, {column} gin_trgm_ops)"
        )
    op.create_index("ix_calls_outcome", "calls", ["organization_id", "outcome", "created_at", "id"])
    op.create_index("ix_calls_agent_version", "calls", ["organization_id", "agent_version_id", "created_at"])
    op.create_index("ix_call_summaries_latency", "call_summaries", ["organization_id", "latency_p95_ms"])
    op.execute(_SEARCH)
    op.execute(f"REVOKE ALL ON FUNCTION {_FUNCTION} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_FUNCTION} TO {app}")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {_FUNCTION}")
    op.drop_index("ix_call_summaries_latency", "call_summaries")
    for name in ("agent_version", "outcome", "called_parts", "caller_parts"):
        op.drop_index(f"ix_calls_{name}", "calls")
