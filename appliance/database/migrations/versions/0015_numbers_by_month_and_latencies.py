"""Part of a number is found as words are, by month and by day; slow calls are found by an index."""

from __future__ import annotations

from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INNER = (
    "calls_of_index_with_number(uuid, text, timestamp, integer)",
    "calls_of_time_with_number(uuid, text, timestamptz, timestamptz, timestamptz, uuid, integer)",
)
_OUTER = "calls_with_number(text, timestamptz, timestamptz, timestamptz, uuid, integer)"
_OF_INDEX = """
CREATE FUNCTION calls_of_index_with_number(
    organization uuid, pattern text, in_month timestamp, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_indexscan = off SET plan_cache_mode = force_generic_plan AS $body$
BEGIN
    IF in_month IS NULL THEN
        RETURN QUERY SELECT c.id, c.created_at FROM public.calls c
        WHERE c.organization_id = organization
        AND (c.caller LIKE pattern OR c.called LIKE pattern) LIMIT at_most;
    ELSE
        RETURN QUERY SELECT c.id, c.created_at FROM public.calls c
        WHERE c.organization_id = organization
        AND date_trunc('month', c.created_at AT TIME ZONE 'UTC') = in_month
        AND (c.caller LIKE pattern OR c.called LIKE pattern) LIMIT at_most;
    END IF;
END $body$
"""
_OF_TIME = """
CREATE FUNCTION calls_of_time_with_number(
    organization uuid, pattern text, since timestamptz, until timestamptz, before_at timestamptz,
    before_id uuid, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $body$
BEGIN
    RETURN QUERY SELECT c.id, c.created_at FROM public.calls c
    WHERE c.organization_id = organization AND c.created_at >= since AND c.created_at < until
    AND (c.caller LIKE pattern OR c.called LIKE pattern)
    AND (before_at IS NULL OR (c.created_at, c.id) < (before_at, before_id))
    ORDER BY c.created_at DESC, c.id DESC LIMIT at_most;
END $body$
"""
_SEARCH = r"""
CREATE FUNCTION calls_with_number(
    part text, since timestamptz, until timestamptz, before_at timestamptz, before_id uuid, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz, matches boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $body$
DECLARE
    organization uuid := nullif(current_setting('app.organization_id', true), '')::uuid;
    pattern text := '%' || replace(replace(replace(part, '\', '\\'), '%', '\%'), '_', '\_') || '%';
    newest timestamptz;
    oldest timestamptz;
    in_month timestamp;
    day timestamp;
    ids uuid[];
    times timestamptz[];
    missing integer := at_most;
    added integer;
    looked_at integer;
BEGIN
    SELECT count(*), array_agg(w.id) FILTER (WHERE w.fits), array_agg(w.at) FILTER (WHERE w.fits)
    INTO looked_at, ids, times FROM (
        SELECT c.id, c.created_at AS at, c.caller LIKE pattern OR c.called LIKE pattern AS fits
        FROM public.calls c WHERE c.organization_id = organization
        AND (since IS NULL OR c.created_at >= since) AND (until IS NULL OR c.created_at < until)
        AND (before_at IS NULL OR (c.created_at, c.id) < (before_at, before_id))
        ORDER BY c.created_at DESC, c.id DESC LIMIT 8000
    ) w;
    IF looked_at < 8000 OR cardinality(ids) >= at_most THEN
        RETURN QUERY SELECT f.id, f.at, true FROM unnest(ids, times) AS f(id, at)
        ORDER BY f.at DESC, f.id DESC LIMIT at_most;
        RETURN;
    END IF;
    SELECT array_agg(f.call_id), array_agg(f.call_created_at) INTO ids, times
    FROM public.calls_of_index_with_number(organization, pattern, NULL, 10001) f;
    IF coalesce(cardinality(ids), 0) <= 10000 THEN
        RETURN QUERY SELECT f.id, f.at, true FROM unnest(ids, times) AS f(id, at)
        WHERE (since IS NULL OR f.at >= since) AND (until IS NULL OR f.at < until)
        AND (before_at IS NULL OR (f.at, f.id) < (before_at, before_id))
        ORDER BY f.at DESC, f.id DESC LIMIT at_most;
        RETURN;
    END IF;
    SELECT c.created_at INTO newest FROM public.calls c WHERE c.organization_id = organization
    ORDER BY c.created_at DESC LIMIT 1;
    SELECT c.created_at INTO oldest FROM public.calls c WHERE c.organization_id = organization
    ORDER BY c.created_at LIMIT 1;
    IF newest IS NULL THEN
        RETURN;
    END IF;
    newest := least(newest, until, before_at);
    oldest := greatest(oldest, since);
    in_month := date_trunc('month', newest AT TIME ZONE 'UTC');
    WHILE in_month >= date_trunc('month', oldest AT TIME ZONE 'UTC') AND missing > 0 LOOP
        SELECT array_agg(f.call_id), array_agg(f.call_created_at) INTO ids, times
        FROM public.calls_of_index_with_number(organization, pattern, in_month, 2001) f;
        IF coalesce(cardinality(ids), 0) <= 2000 THEN
            RETURN QUERY SELECT f.id, f.at, true FROM unnest(ids, times) AS f(id, at)
            WHERE (since IS NULL OR f.at >= since) AND (until IS NULL OR f.at < until)
            AND (before_at IS NULL OR (f.at, f.id) < (before_at, before_id))
            ORDER BY f.at DESC, f.id DESC LIMIT missing;
            GET DIAGNOSTICS added = ROW_COUNT;
            missing := missing - added;
        ELSE
            day := least(
                in_month + interval '1 month' - interval '1 day', date_trunc('day', newest AT TIME ZONE 'UTC')
            );
            WHILE day >= greatest(in_month, date_trunc('day', oldest AT TIME ZONE 'UTC')) AND missing > 0 LOOP
                RETURN QUERY SELECT f.call_id, f.call_created_at, true
                FROM public.calls_of_time_with_number(
                    organization, pattern, greatest(day AT TIME ZONE 'UTC', since),
                    least((day + interval '1 day') AT TIME ZONE 'UTC', until), before_at, before_id, missing
                ) f;
                GET DIAGNOSTICS added = ROW_COUNT;
                missing := missing - added;
                day := day - interval '1 day';
            END LOOP;
        END IF;
        in_month := in_month - interval '1 month';
    END LOOP;
END $body$
"""
"""LIKE is not leakproof, so that no index serves it under row-level security, nor may the planner look at
statistics to know how many calls have a number. So the newest calls are read by time; where they do not do,
the number is not common, and the index is asked; and if it was common once, month by month (as in 0012)."""
_BEFORE = r"""
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
        '%' || replace(replace(replace(part, '\', '\\'), '%', '\%'), '_', '\_') || '%',
        since, until, before_at, before_id, at_most;
END $body$
"""


def upgrade() -> None:
    for column in ("caller", "called"):
        op.drop_index(f"ix_calls_{column}_parts", "calls", if_exists=True)
        op.execute(
            f"CREATE INDEX ix_calls_{column}_parts ON calls USING gin (organization_id, "
            f"date_trunc('month', (created_at AT TIME ZONE 'UTC')), {column} gin_trgm_ops) "
            "WITH (fastupdate = off)"
        )
    op.execute(
        "CREATE INDEX ix_calls_not_inbound ON calls (organization_id, direction, created_at, id) "
        "WHERE direction <> 'inbound'"
    )
    op.drop_index("ix_call_summaries_latency", "call_summaries")
    op.drop_index("ix_call_summaries_newest", "call_summaries")
    op.execute(
        "CREATE INDEX ix_call_summaries_latency ON call_summaries (organization_id, latency_p95_ms) "
        "INCLUDE (call_created_at, call_id)"
    )
    op.execute(
        "CREATE INDEX ix_call_summaries_newest ON call_summaries "
        "(organization_id, call_created_at DESC, call_id DESC) INCLUDE (latency_p95_ms)"
    )
    op.execute(f"DROP FUNCTION {_OUTER}")
    op.execute(_OF_INDEX)
    op.execute(_OF_TIME)
    for name in _INNER:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    _create(_SEARCH)


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {_OUTER}")
    for name in _INNER:
        op.execute(f"DROP FUNCTION {name}")
    _create(_BEFORE)
    op.drop_index("ix_call_summaries_newest", "call_summaries")
    op.drop_index("ix_call_summaries_latency", "call_summaries")
    op.execute(
        "CREATE INDEX ix_call_summaries_newest ON call_summaries "
        "(organization_id, call_created_at DESC, call_id DESC)"
    )
    op.create_index("ix_call_summaries_latency", "call_summaries", ["organization_id", "latency_p95_ms"])
    op.drop_index("ix_calls_not_inbound", "calls")
    for column in ("caller", "called"):
        op.drop_index(f"ix_calls_{column}_parts", "calls")
        op.execute(
            f"CREATE INDEX ix_calls_{column}_parts ON calls "
            f"USING gin (organization_id, {column} gin_trgm_ops)"
        )


def _create(function: str) -> None:
    app = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["database"].app_user)
    op.execute(function)
    op.execute(f"REVOKE ALL ON FUNCTION {_OUTER} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_OUTER} TO {app}")
