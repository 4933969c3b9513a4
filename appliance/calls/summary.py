"""The summary of a call, by which it is found: made anew from what is stored, at each report's arrival."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from appliance.database.unit_of_work import UnitOfWork

_MOST_CHARACTERS = 120_000
"""A word index holds 1 MiB at most; so much of any script stays below it."""

_SUMMARIZE = text("""
INSERT INTO call_summaries
    (id, organization_id, call_id, call_created_at, words, turns, latency_p50_ms, latency_p95_ms)
SELECT c.id, c.organization_id, c.id, c.created_at,
    to_tsvector('simple', left(coalesce((
        SELECT string_agg(s.text, ' ' ORDER BY s.attempt, s.starts_ms, s.index)
        FROM transcript_segments s WHERE s.call_id = c.id), ''), :most)),
    t.turns, t.p50, t.p95
FROM calls c CROSS JOIN LATERAL (
    SELECT count(*) AS turns,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY (stamps ->> 'first_audio_out')::float8) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY (stamps ->> 'first_audio_out')::float8) AS p95
    FROM turns WHERE call_id = c.id) t
WHERE c.id = :call_id
ON CONFLICT (call_id) DO UPDATE SET words = excluded.words, turns = excluded.turns,
    latency_p50_ms = excluded.latency_p50_ms, latency_p95_ms = excluded.latency_p95_ms
""")


async def summarize(uow: UnitOfWork, call_id: UUID) -> None:
    """Writes the summary of a call whose turns and segments are stored."""
    await uow.session.execute(_SUMMARIZE, {"call_id": call_id, "most": _MOST_CHARACTERS})
