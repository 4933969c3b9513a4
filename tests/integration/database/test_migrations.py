"""The migrations make, from nothing, exactly what the tables say; and they can be taken back and repeated."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import text
from typer.testing import CliRunner

from appliance.cli.database import app as command
from appliance.database import migrate
from appliance.database.migrate import owner_engine
from appliance.database.tables import metadata
from appliance.settings import Settings
from provisioning.lite.box import Box
from provisioning.lite.postgres import connect_as_superuser
from provisioning.lite.seed import seed

_SHAPE = text(
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
    "WHERE table_schema IN ('public', 'jobs') ORDER BY 1, 2"
)


@pytest.fixture
def empty(box: Box) -> Iterator[Settings]:
    """Settings of a box whose database is new and empty."""
    box.start("postgres")
    name = f"migrations_{uuid4().hex[:8]}"
    database = box.settings.database
    with _admin(box) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(database.owner_user)
            )
        )
    try:
        yield box.settings.model_copy(update={"database": database.model_copy(update={"name": name})})
    finally:
        with _admin(box) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_from_empty_up_down_and_up_again(empty: Settings) -> None:
    assert migrate.current(empty)[0] is None
    migrate.upgrade(empty)
    found, newest = migrate.current(empty)
    assert found == newest
    first = _shape(empty)
    migrate.upgrade(empty)
    assert _shape(empty) == first
    migrate.downgrade(empty)
    assert migrate.current(empty)[0] is None
    assert [row for row in _shape(empty) if row[0] != "alembic_version"] == []
    migrate.upgrade(empty)
    assert _shape(empty) == first


def test_the_tables_are_what_the_migrations_make(empty: Settings) -> None:
    migrate.upgrade(empty)
    engine = owner_engine(empty.database)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_two_that_migrate_at_once_do_not_collide(empty: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: migrate.upgrade(empty), range(2)))
    found, newest = migrate.current(empty)
    assert found == newest


def test_the_seed_gives_the_same_world_twice(empty: Settings) -> None:
    migrate.upgrade(empty)
    first = seed(empty)
    assert seed(empty) == first
    with owner_engine(empty.database).connect() as connection:
        assert connection.scalar(text("SELECT capacity FROM box")) == 10


def test_the_command_says_where_the_database_stands(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.start("postgres")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    newest = migrate.current(box.settings)[1]
    assert CliRunner().invoke(command, ["upgrade"]).output == f"{newest}: up to date\n"
    answer = CliRunner().invoke(command, ["current"])
    assert (answer.exit_code, answer.output) == (0, f"{newest} (newest: {newest})\n")


def _shape(settings: Settings) -> list[tuple[str, ...]]:
    engine = owner_engine(settings.database)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(_SHAPE)]


def _admin(box: Box) -> psycopg.Connection:
    return connect_as_superuser(box.site, "postgres")
