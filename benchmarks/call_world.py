"""Generated calls in a database: an organization with years of them, made by SQL alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from appliance.database.identifiers import uuid7
from appliance.security.keys import KeyRing
from provisioning.lite.box import Box
from provisioning.lite.postgres import connect_as_superuser
from provisioning.lite.receptionist import receptionist

SEGMENTS_OF_A_CALL = 20
TURNS_OF_A_CALL = 5
AGENTS = 20
VERSIONS = 5
BATCH = 20_000
OFTEN, SELDOM = "appointment", "zebra"
"""A word of nearly every call, and one of a call in ten thousand."""
LONG_AGO, IN_WINTER = "carnival", "snow"
"""Words of every second call, but three years ago alone; of every third call, but in January alone."""
FAMILY_NAMES = 50_000
"""`name<i>`, each in some twenty calls of a million."""
NEIGHBOURS = (0.04, 0.015, 0.005)
"""Smaller organizations beside the one that is asked for: their calls, as parts of its calls."""

_UUID_OF_TIME = """
CREATE FUNCTION pg_temp.uuid_at(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || substr(r, 1, 3)
        || '8' || substr(r, 4, 15))::uuid FROM (SELECT md5(random()::text) AS r) x $$
"""
_UUID_OF_PART = """
CREATE FUNCTION pg_temp.uuid_of(call uuid, kind int, part int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (left(call::text, 32) || lpad(to_hex(kind * 4096 + part), 4, '0'))::uuid $$
"""
"""In the order of time, as the identifiers of the product are."""
_WORDS = """
CREATE TEMP TABLE vocabulary AS SELECT row_number() OVER () AS n, word FROM (
    SELECT unnest(ARRAY['appointment', 'tuesday', 'morning', 'doctor', 'please', 'thank', 'you', 'number',
        'time', 'would', 'like', 'book', 'cancel', 'friday', 'order', 'help', 'name', 'tomorrow']) AS word
    UNION ALL SELECT 'word' || i FROM generate_series(1, 5000) i) w
"""
_SENTENCES = """
CREATE TEMP TABLE sentences AS SELECT n, (
    SELECT string_agg(word, ' ') FROM vocabulary v JOIN (
        SELECT 1 + floor(power(random(), 4) * 5018)::int AS pick FROM generate_series(1, 6 + s.n * 0)
    ) p ON p.pick = v.n) AS text FROM generate_series(0, 19999) AS s(n)
"""
_CALLS = """
INSERT INTO calls (id, organization_id, agent_version_id, number_id, direction, room_name, caller, called,
    status, outcome, ended_by, created_at, answered_at, ended_at, finished_at, q850_cause, quality)
SELECT id, %(org)s, (%(versions)s::uuid[])[1 + floor(power(random(), 3) * %(version_count)s::int)::int],
    %(number)s, CASE WHEN chance < 0.03 THEN 'outbound' ELSE 'inbound' END, 'call-' || id,
    '+49' || (1500000000 + floor(random() * 400000000)::bigint), '+4930555010',
    'ended', CASE WHEN chance < 0.55 THEN 'completed' WHEN chance < 0.75 THEN 'booked'
        WHEN chance < 0.85 THEN 'caller_hung_up' WHEN chance < 0.91 THEN 'transferred'
        WHEN chance < 0.96 THEN 'ordered' WHEN chance < 0.989 THEN 'no_speech'
        WHEN chance < 0.999 THEN 'failed' ELSE 'time_limit' END,
    'caller', at, at + interval '2 s', at + interval '90 s', at + interval '91 s', 16, '{}'::jsonb
FROM (SELECT at, random() AS chance, pg_temp.uuid_at(at) AS id FROM (
    SELECT now() - interval '3 years' + (interval '3 years' * (i - random()) / %(total)s::int) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) i) t) x
"""
_SPOKEN = """
CREATE TEMP TABLE spoken ON COMMIT DROP AS
SELECT c.id AS call_id, k, s.text
    || CASE WHEN k = 3 AND random() < 0.0001 THEN ' zebra' ELSE '' END
    || CASE WHEN k = 4 THEN ' name' || floor(random() * %(names)s::int)::int ELSE '' END
    || CASE WHEN k = 5 AND extract(month FROM c.created_at) = 1 AND random() < 0.3 THEN ' snow' ELSE '' END
    || CASE WHEN k = 6 AND c.created_at < now() - interval '33 months' AND random() < 0.5
        THEN ' carnival' ELSE '' END AS text
FROM fresh c CROSS JOIN generate_series(0, %(segments)s::int - 1) k
JOIN sentences s ON s.n = abs(hashint8extended(c.place * 64 + k, 7) %% 20000)
ORDER BY c.id, k
"""
_SEGMENTS = """
INSERT INTO transcript_segments (id, organization_id, call_id, index, speaker, starts_ms, ends_ms, text)
SELECT pg_temp.uuid_of(call_id, 1, k), %(org)s, call_id, k, CASE k %% 2 WHEN 0 THEN 'agent' ELSE 'caller' END,
    k * 4000, k * 4000 + 3500, text
FROM spoken
"""
_TURNS = """
INSERT INTO turns (id, organization_id, call_id, index, caller_text, agent_text, started_at, stamps)
SELECT pg_temp.uuid_of(c.id, 2, k), %(org)s, c.id, k, 'Hello', 'Good morning', c.created_at,
    jsonb_build_object('first_audio_out', 500 + 800 * random() * random())
FROM fresh c CROSS JOIN generate_series(0, %(turns)s::int - 1) k
"""
_SUMMARIES = """
INSERT INTO call_summaries (id, organization_id, call_id, call_created_at, words, turns, latency_p50_ms,
    latency_p95_ms)
SELECT c.id, %(org)s, c.id, c.created_at, s.words, %(turns)s::int,
    700 + 300 * power(random(), 3), 900 + 2500 * power(random(), 6)
FROM fresh c JOIN (
    SELECT call_id, to_tsvector('simple', string_agg(text, ' ')) AS words FROM spoken GROUP BY call_id
) s ON s.call_id = c.id
ORDER BY c.id
"""
_EVENTS = """
INSERT INTO call_events (id, organization_id, call_id, at, kind, detail)
SELECT pg_temp.uuid_of(c.id, 3, k), %(org)s, c.id, c.created_at, 'sip',
    '{"leg": "caller", "direction": "in"}'::jsonb
FROM fresh c CROSS JOIN generate_series(1, 3) k
"""
_LONG_CALL = """
WITH long AS (INSERT INTO calls (id, organization_id, direction, room_name, caller, called, status, outcome,
    ended_by, created_at, answered_at, ended_at, finished_at, q850_cause, quality)
    SELECT id, %(org)s, 'inbound', 'call-' || id, '+4915112345678', '+4930555010', 'ended', 'completed',
        'caller', at, at + interval '2 s', at + interval '2 hours', at + interval '2 hours', 16, '{}'::jsonb
    FROM (SELECT at, pg_temp.uuid_at(at) AS id FROM (SELECT now() - interval '2 hours' AS at) t) x
    RETURNING id, created_at),
spoken AS (INSERT INTO transcript_segments (id, organization_id, call_id, index, speaker, starts_ms, ends_ms,
    text) SELECT pg_temp.uuid_of(id, 1, k), %(org)s, id, k, CASE k %% 2 WHEN 0 THEN 'agent' ELSE 'caller' END,
        k * 3000, k * 3000 + 2500, s.text FROM long, generate_series(0, 2399) k JOIN sentences s ON s.n = k),
answered AS (INSERT INTO turns (id, organization_id, call_id, index, caller_text, agent_text, started_at,
    stamps) SELECT pg_temp.uuid_of(id, 2, k), %(org)s, id, k, 'Hello', 'Good morning', created_at,
        jsonb_build_object('end_of_turn', 200, 'first_audio_out', 500 + 800 * random() * random())
    FROM long, generate_series(0, 1199) k)
SELECT id FROM long
"""
"""A call of two hours: somebody speaks every three seconds."""
_FILLED = ("calls", "transcript_segments", "turns", "call_summaries", "call_events")
_PLAIN_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s::regclass[]) AND NOT i.indisunique ORDER BY c.relname
"""


@dataclass(frozen=True)
class World:
    """The organization that has the calls, and its call of two hours."""

    organization: UUID
    long_call: UUID


def generate(box: Box, calls: int, tell: Callable[[str], None]) -> World:
    """Makes an organization with so many calls, and its neighbours.

    Indexes that are no constraints are taken away while it writes, and made again by their own definitions.
    """
    keys = KeyRing.from_settings(box.settings.security)
    with connect_as_superuser(box.site, box.settings.database.name) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("SET work_mem = '256MB'")
        for statement in (_UUID_OF_TIME, _UUID_OF_PART, _WORDS, _SENTENCES):
            connection.execute(statement)
        connection.execute("ALTER TABLE sentences ADD PRIMARY KEY (n)")
        connection.execute("ANALYZE sentences")
        worlds: list[dict[str, object]] = []
        for part in (1.0, *NEIGHBOURS):
            organization = uuid7()
            versions, number = _frame(connection, organization, keys.new_organization_key(organization))
            worlds.append(
                {
                    "org": organization,
                    "versions": versions,
                    "version_count": len(versions),
                    "number": number,
                    "total": max(1, int(calls * part)),
                    "names": FAMILY_NAMES,
                    "segments": SEGMENTS_OF_A_CALL,
                    "turns": TURNS_OF_A_CALL,
                }
            )
        definitions = connection.execute(_PLAIN_INDEXES, (list(_FILLED),)).fetchall()
        for name, _definition in definitions:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        began = time.monotonic()
        batches = max(1, calls // BATCH)
        for batch in range(batches):
            for world in worlds:
                total = int(str(world["total"]))
                first, last = total * batch // batches + 1, total * (batch + 1) // batches
                if last >= first:
                    with connection.transaction():
                        _batch(connection, {**world, "first": first, "last": last})
            tell(f"{calls * (batch + 1) // batches} of {calls} calls, {time.monotonic() - began:.0f} s")
        long_call = connection.execute(_LONG_CALL, worlds[0]).fetchone()
        assert long_call is not None
        for name, definition in definitions:
            connection.execute(definition)
            tell(f"index {name}, {time.monotonic() - began:.0f} s")
        for table in _FILLED:
            connection.execute(f"VACUUM (ANALYZE) {table}")
        connection.execute("ANALYZE")
        tell(f"done, {time.monotonic() - began:.0f} s")
    return World(UUID(str(worlds[0]["org"])), long_call[0])


def _batch(connection: psycopg.Connection, given: dict[str, object]) -> None:
    connection.execute(
        "CREATE TEMP TABLE fresh (id uuid PRIMARY KEY, created_at timestamptz, place bigserial) "
        "ON COMMIT DROP"
    )
    connection.execute(
        f"WITH made AS ({_CALLS} RETURNING id, created_at) INSERT INTO fresh SELECT * FROM made", given
    )
    connection.execute("ANALYZE fresh")
    connection.execute(_SPOKEN, given)
    connection.execute("ANALYZE spoken")
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
