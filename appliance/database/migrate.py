"""Brings the database to the newest schema, as its owner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from appliance.database.engine import CONNECT_TIMEOUT_SECONDS, database_errors
from appliance.settings import DatabaseSettings, Settings

_Work = Callable[[Config], None]

_ONE_AT_A_TIME = 0x7472756E6B  # the advisory lock that migrations take


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Runs every migration that is missing; nothing if the database is up to date.

    Two processes that migrate at once do so one after the other. Unavailable when the database is away.
    """
    _run(settings, lambda config: command.upgrade(config, revision))


def downgrade(settings: Settings, revision: str = "base") -> None:
    """Takes migrations back, with the data of what they made."""
    _run(settings, lambda config: command.downgrade(config, revision))


def current(settings: Settings) -> tuple[str | None, str | None]:
    """The revision of the database and the newest one known here."""
    engine = owner_engine(settings.database)
    try:
        with database_errors(), engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return found, newest(settings)


def newest(settings: Settings) -> str | None:
    """The newest revision known here; asks no database."""
    return ScriptDirectory.from_config(_config(settings)).get_current_head()


def known_revisions(settings: Settings) -> list[str]:
    """Those from which this release can bring a database to its own."""
    scripts = ScriptDirectory.from_config(_config(settings))
    return [script.revision for script in scripts.walk_revisions()]


def _run(settings: Settings, work: _Work) -> None:
    engine = owner_engine(settings.database)
    try:
        with database_errors(), engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _ONE_AT_A_TIME})
            connection.commit()
            config = _config(settings)
            config.attributes["connection"] = connection
            try:
                work(config)
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _ONE_AT_A_TIME})
                connection.commit()
    finally:
        engine.dispose()


def _config(settings: Settings) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["database"] = settings.database
    return config


def owner_engine(settings: DatabaseSettings) -> Engine:
    """The owner's connection for migrations and set-up. Row-level security binds it like everyone."""
    return create_engine(
        settings.url("owner"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "trunkline-owner"},
    )
