"""Generated calls in a database: an organization with years of them, made by SQL alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from appliance.database.identifiers import uuid7
from appliance.security.keys import KeyRing
from provisioning.lite.box import Box
from provisioning.lite.postgres import connect_as_superuser
from provisioning.lite.receptionist import receptionist

SEGMENTS_OF_A_CALL = 20
TURNS_OF_A_CALL = 10
AGENTS = 20
VERSIONS = 5
BATCH = 20_000
OFTEN, SELDOM = "appointment", "zebra"
"""A word of nearly every call, and one of a call in ten thousand."""

_UUID_OF_TIME = """
CREATE FUNCTION pg_temp.uuid_at(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || substr(r, 1, 3)
        || '8' || substr(r, 4, 15))::uuid FROM (SELECT md5(random()::text) AS r) x $$
"""
_WORDS = """
CREATE TEMP TABLE vocabulary AS SELECT row_number() OVER () AS n, word FROM (
    SELECT unnest(ARRAY['appointment', 'tuesday', 'morning', 'doctor', 'please', 'thank', 'you', 'number',
        'time', 'would', 'like', 'book', 'cancel', 'friday', 'order', 'help', 'name', 'tomorrow']) AS word
    UNION ALL SELECT 'word' || i FROM generate_series(1, 5000) i) w
"""
_SENTENCES = """
CREATE TEMP TABLE sentences AS SELECT n, (
    SELECT string_agg(word, ' ') FROM vocabulary v JOIN (
        SELECT 1 + floor(power(random(), 4) * 5018)::int AS pick FROM generate_series(1, 8 + s.n * 0)
    ) p ON p.pick = v.n) AS text FROM generate_series(0, 19999) AS s(n)
"""
_CALLS = """
INSERT INTO calls (id, organization_id, agent_version_id, number_id, direction, room_name, caller, called,
    status, outcome, ended_by, created_at, answered_at, ended_at, finished_at, q850_cause, quality)
SELECT id, %(org)s, (%(versions)s::uuid[])[1 + floor(power(random(), 3) * %(version_count)s::int)::int],
    %(number)s, 'inbound', 'call-' || id, '+49' || (1500000000 + floor(random() * 400000000)::bigint),
    '+4930555010',
    'ended', (ARRAY['completed', 'completed', 'completed', 'booked', 'booked', 'caller_hung_up', 'no_speech',
        'transferred', 'ordered', CASE WHEN i %% 100 = 0 THEN 'failed' ELSE 'completed' END])[1 + i %% 10],
    'caller', at, at + interval '2 s', at + interval '90 s', at + interval '91 s', 16, '{}'::jsonb
FROM (SELECT i, at, pg_temp.uuid_at(at) AS id FROM (
    SELECT i, now() - interval '3 years' + (interval '3 years' * i / %(total)s::int) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) i) t) x
"""
_SEGMENTS = """
INSERT INTO transcript_segments (id, organization_id, call_id, index, speaker, starts_ms, ends_ms, text)
SELECT gen_random_uuid(), %(org)s, c.id, k, CASE k %% 2 WHEN 0 THEN 'agent' ELSE 'caller' END, k * 4000,
    k * 4000 + 3500, s.text || CASE WHEN k = 3 AND random() < 0.0001 THEN ' zebra' ELSE '' END
FROM fresh c CROSS JOIN generate_series(0, %(segments)s::int - 1) k
JOIN sentences s ON s.n = (('x' || substr(md5(c.id::text || k), 1, 6))::bit(24)::int %% 20000)
"""
_TURNS = """
INSERT INTO turns (id, organization_id, call_id, index, caller_text, agent_text, started_at, stamps)
SELECT gen_random_uuid(), %(org)s, c.id, k, 'Hello', 'Good morning', c.created_at,
    jsonb_build_object('first_audio_out', 500 + 800 * random() * random())
FROM fresh c CROSS JOIN generate_series(0, %(turns)s::int - 1) k
"""
_SUMMARIES = """
INSERT INTO call_summaries (id, organization_id, call_id, call_created_at, words, turns, latency_p50_ms,
    latency_p95_ms)
SELECT c.id, %(org)s, c.id, c.created_at, to_tsvector('simple', (
    SELECT string_agg(text, ' ') FROM transcript_segments s WHERE s.call_id = c.id)), %(turns)s::int,
    700 + 300 * power(random(), 3), 900 + 2500 * power(random(), 6)
FROM fresh c
"""
_EVENTS = """
INSERT INTO call_events (id, organization_id, call_id, at, kind, detail)
SELECT gen_random_uuid(), %(org)s, c.id, c.created_at, 'sip', '{"leg": "caller", "direction": "in"}'::jsonb
FROM fresh c CROSS JOIN generate_series(1, 6)
"""


def generate(box: Box, calls: int, tell: Callable[[str], None]) -> UUID:
    """Makes an organization with so many calls; returns its id. Indexes are kept while it writes."""
    organization, keys = uuid7(), KeyRing.from_settings(box.settings.security)
    with connect_as_superuser(box.site, box.settings.database.name) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        connection.execute("SET synchronous_commit = off")
        for statement in (_UUID_OF_TIME, _WORDS, _SENTENCES, "ALTER TABLE sentences ADD PRIMARY KEY (n)"):
            connection.execute(statement)
        connection.execute("ANALYZE sentences")
        versions, number = _frame(connection, organization, keys.new_organization_key(organization))
        given = {
            "org": organization,
            "versions": versions,
            "version_count": len(versions),
            "number": number,
            "total": calls,
            "segments": SEGMENTS_OF_A_CALL,
            "turns": TURNS_OF_A_CALL,
        }
        began = time.monotonic()
        for first in range(1, calls + 1, BATCH):
            last = min(calls, first + BATCH - 1)
            with connection.transaction():
                _batch(connection, {**given, "first": first, "last": last})
            tell(f"{last} of {calls} calls, {time.monotonic() - began:.0f} s")
        connection.execute("ANALYZE")
    return organization


def _batch(connection: psycopg.Connection, given: dict[str, object]) -> None:
    connection.execute("CREATE TEMP TABLE fresh (id uuid PRIMARY KEY, created_at timestamptz) ON COMMIT DROP")
    connection.execute(
        f"WITH made AS ({_CALLS} RETURNING id, created_at) INSERT INTO fresh SELECT * FROM made", given
    )
    connection.execute("ANALYZE fresh")
    for statement in (_SEGMENTS, _TURNS, _SUMMARIES, _EVENTS):
        connection.execute(statement, given)


def _frame(connection: psycopg.Connection, organization: UUID, wrapped_key: bytes) -> tuple[list[UUID], UUID]:
    """The organization, its agents with their versions, and a number."""
    connection.execute(
        "INSERT INTO organizations (id, slug, name, timezone, wrapped_key) "
        "VALUES (%s, %s, 'Bench', 'UTC', %s)",
        (organization, f"bench-{organization}", wrapped_key),
    )
    versions: list[UUID] = []
    snapshot = receptionist().model_dump_json()
    agent = number = uuid7()
    for index in range(AGENTS):
        agent = uuid7()
        connection.execute(
            "INSERT INTO agents (id, organization_id, name) VALUES (%s, %s, %s)",
            (agent, organization, f"Agent {index}"),
        )
        for version in range(1, VERSIONS + 1):
            versions.append(uuid7())
            connection.execute(
                "INSERT INTO agent_versions (id, organization_id, agent_id, version, snapshot, published_at) "
                "VALUES (%s, %s, %s, %s, %s, now())",
                (versions[-1], organization, agent, version, snapshot),
            )
    connection.execute(
        "INSERT INTO numbers (id, organization_id, number, agent_id) VALUES (%s, %s, %s, %s)",
        (number, organization, f"+999{organization.int % 10**11:011d}", agent),
    )
    return versions, number
