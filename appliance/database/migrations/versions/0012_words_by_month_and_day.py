"""A word is found by an index that knows its months and days, however rare or common the word is."""

from __future__ import annotations

from alembic import context, op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MONTH = "date_trunc('month', (call_created_at AT TIME ZONE 'UTC'))"
_DAY = "((call_created_at AT TIME ZONE 'UTC')::date)"
_INNER = "summaries_with_words(uuid, tsquery, timestamp, date, integer)"
_OUTER = "calls_with_words(text, timestamptz, timestamptz, timestamptz, uuid, integer)"
_IN_A_TIME = """
CREATE FUNCTION summaries_with_words(
    organization uuid, sought tsquery, in_month timestamp, on_day date, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_indexscan = off SET plan_cache_mode = force_generic_plan AS $body$
BEGIN
    IF on_day IS NOT NULL THEN
        RETURN QUERY SELECT s.call_id, s.call_created_at FROM public.call_summaries s
        WHERE s.organization_id = organization AND s.words @@ sought
        AND (s.call_created_at AT TIME ZONE 'UTC')::date = on_day;
    ELSE
        RETURN QUERY SELECT s.call_id, s.call_created_at FROM public.call_summaries s
        WHERE s.organization_id = organization AND s.words @@ sought
        AND date_trunc('month', s.call_created_at AT TIME ZONE 'UTC') = in_month LIMIT at_most;
    END IF;
END $body$
"""
"""The planner cannot know how common a word is, and would read a whole archive by time for one that is not
there: of its ways only the index of words is left. Nobody may call it but the function below."""
_SEARCH = """
CREATE FUNCTION calls_with_words(
    wanted text, since timestamptz, until timestamptz, before_at timestamptz, before_id uuid, at_most integer
) RETURNS TABLE (call_id uuid, call_created_at timestamptz, matches boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $body$
DECLARE
    organization uuid := nullif(current_setting('app.organization_id', true), '')::uuid;
    query tsquery := websearch_to_tsquery('simple', wanted);
    sought tsquery := query;
    exact boolean := true;
    newest timestamptz;
    oldest timestamptz;
    in_month timestamp;
    on_day date;
    ids uuid[];
    times timestamptz[];
    missing integer := at_most;
    added integer;
BEGIN
    SELECT s.call_created_at INTO newest FROM public.call_summaries s WHERE s.organization_id = organization
    ORDER BY s.call_created_at DESC, s.call_id DESC LIMIT 1;
    SELECT s.call_created_at INTO oldest FROM public.call_summaries s WHERE s.organization_id = organization
    ORDER BY s.call_created_at, s.call_id LIMIT 1;
    IF numnode(query) = 0 OR newest IS NULL THEN
        RETURN;
    END IF;
    newest := least(newest, until, before_at);
    oldest := greatest(oldest, since);
    IF querytree(query) IN ('', 'T') THEN  -- only words that must not be there: no index knows such calls
        RETURN QUERY SELECT s.call_id, s.call_created_at, s.words @@ query FROM public.call_summaries s
        WHERE s.organization_id = organization
        AND (since IS NULL OR s.call_created_at >= since) AND (until IS NULL OR s.call_created_at < until)
        AND (before_at IS NULL OR (s.call_created_at, s.call_id) < (before_at, before_id))
        ORDER BY s.call_created_at DESC, s.call_id DESC LIMIT at_most;
        RETURN;
    END IF;
    IF query::text ~ '<(-|[0-9]+)>' THEN  -- a phrase: the index knows its words and not their order
        exact := false;
        sought := regexp_replace(querytree(query), '<(-|[0-9]+)>', '&', 'g')::tsquery;
    END IF;
    in_month := date_trunc('month', newest AT TIME ZONE 'UTC');
    WHILE in_month >= date_trunc('month', oldest AT TIME ZONE 'UTC') AND missing > 0 LOOP
        SELECT array_agg(f.call_id), array_agg(f.call_created_at) INTO ids, times
        FROM public.summaries_with_words(organization, sought, in_month, NULL, 2001) f;
        IF coalesce(cardinality(ids), 0) <= 2000 THEN
            RETURN QUERY SELECT f.id, f.at, exact OR (
                SELECT s.words @@ query FROM public.call_summaries s WHERE s.call_id = f.id)
            FROM unnest(ids, times) AS f(id, at)
            WHERE (since IS NULL OR f.at >= since) AND (until IS NULL OR f.at < until)
            AND (before_at IS NULL OR (f.at, f.id) < (before_at, before_id))
            ORDER BY f.at DESC, f.id DESC LIMIT missing;
            GET DIAGNOSTICS added = ROW_COUNT;
            missing := missing - added;
        ELSE
            on_day := least((in_month + interval '1 month')::date - 1, (newest AT TIME ZONE 'UTC')::date);
            WHILE on_day >= greatest(in_month::date, (oldest AT TIME ZONE 'UTC')::date) AND missing > 0 LOOP
                RETURN QUERY SELECT d.id, d.at, exact OR (
                    SELECT s.words @@ query FROM public.call_summaries s WHERE s.call_id = d.id)
                FROM (
                    SELECT f.call_id AS id, f.call_created_at AS at
                    FROM public.summaries_with_words(organization, sought, NULL, on_day, NULL) f
                    WHERE (since IS NULL OR f.call_created_at >= since)
                    AND (until IS NULL OR f.call_created_at < until)
                    AND (before_at IS NULL OR (f.call_created_at, f.call_id) < (before_at, before_id))
                    ORDER BY f.call_created_at DESC, f.call_id DESC LIMIT missing
                ) d;
                GET DIAGNOSTICS added = ROW_COUNT;
                missing := missing - added;
                on_day := on_day - 1;
            END LOOP;
        END IF;
        in_month := in_month - interval '1 month';
    END LOOP;
END $body$
"""
"""Months from the newest on; a month with more than two thousand matches is asked day by day. So the work for
a page is bounded by a day's calls, and does not grow with what matches. For what the index cannot tell (order
of words, the absence of all that is named) more calls are given, and `matches` tells which are meant."""
_BEFORE = """
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


def upgrade() -> None:
    op.drop_index("ix_call_summaries_words", "call_summaries", if_exists=True)
    op.execute(
        f"CREATE INDEX ix_call_summaries_words ON call_summaries "
        f"USING gin (organization_id, {_MONTH}, {_DAY}, words) WITH (fastupdate = off)"
    )
    op.execute(f"DROP FUNCTION {_OUTER}")
    op.execute(_IN_A_TIME)
    op.execute(f"REVOKE ALL ON FUNCTION {_INNER} FROM PUBLIC")
    _create(_SEARCH)


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {_OUTER}")
    op.execute(f"DROP FUNCTION {_INNER}")
    op.drop_index("ix_call_summaries_words", "call_summaries")
    op.create_index(
        "ix_call_summaries_words", "call_summaries", ["organization_id", "words"], postgresql_using="gin"
    )
    _create(_BEFORE)


def _create(function: str) -> None:
    app = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["database"].app_user)
    op.execute(function)
    op.execute(f"REVOKE ALL ON FUNCTION {_OUTER} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_OUTER} TO {app}")
