"""The servers of the box under their supervisor."""

from __future__ import annotations

import psycopg

from provisioning.lite.box import Box


def test_postgres_has_the_roles_that_own_nothing(box: Box) -> None:
    box.start("postgres")
    with psycopg.connect(
        box.settings.database.url("app", driver="postgresql"), connect_timeout=10
    ) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles"
            " WHERE rolname LIKE 'trunkline%'"
        ).fetchall()
        owned = connection.execute(
            "SELECT count(*) FROM pg_class"
            " WHERE relowner::regrole::text IN ('trunkline_app', 'trunkline_router')"
        ).fetchone()
    assert sorted(rows) == [
        ("trunkline_app", False, False, False),
        ("trunkline_owner", False, False, False),
        ("trunkline_router", False, False, False),
    ]
    assert owned == (0,)
