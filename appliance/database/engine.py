"""Connections to PostgreSQL, by role."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

import psycopg
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from appliance.errors import Unavailable
from appliance.settings import DatabaseSettings

Role = Literal["owner", "app", "router"]

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 5.0
_SERVER_IS_AWAY = ("08", "57P", "53")
"""SQLSTATE classes: connection exception, operator intervention (shutdown, starting up), no resources."""
_QUERY_CANCELLED = "57014"


def create_engine(settings: DatabaseSettings, role: Role) -> AsyncEngine:
    """A pool of connections of one role. The caller disposes of it.

    A statement ends after `statement_timeout_seconds`; a lost connection is found before it is used.
    """
    milliseconds = int(settings.statement_timeout_seconds * 1000)
    return create_async_engine(
        settings.url(role),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": f"trunkline-{role}",
            "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=60000"
            " -c timezone=UTC",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
    )


@contextmanager
def database_errors() -> Generator[None]:
    """Turns "the database is away or too slow" into Unavailable; lets every other error through."""
    try:
        yield
    except (
        exc.DBAPIError,
        exc.TimeoutError,
        psycopg.OperationalError,
        ConnectionError,
        TimeoutError,
    ) as error:
        if not _means_away(error):
            raise
        raise Unavailable(
            "The database does not answer.", remedy="It is tried again; `appliance status` shows its state."
        ) from error


def _means_away(error: Exception) -> bool:
    if not isinstance(error, exc.DBAPIError):
        return True
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error.orig, psycopg.OperationalError)
    return state.startswith(_SERVER_IS_AWAY) or state == _QUERY_CANCELLED


def violated_constraint(error: exc.IntegrityError) -> str | None:
    """The name of the constraint that a statement violated, such as `scheduling.tables.NO_OVERLAP`."""
    diagnostic = getattr(error.orig, "diag", None)
    return getattr(diagnostic, "constraint_name", None)
