"""Makes the roles and the database, once, with an administrator's connection.

Three roles: the owner migrates, the app works under row-level security, the router reads numbers and trunks
of every organization. None is a superuser, none may bypass row-level security.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from appliance.errors import Unavailable
from appliance.settings import DatabaseSettings

CONNECT_TIMEOUT_SECONDS = 5


def create_database(settings: DatabaseSettings, admin_url: str) -> None:
    """Creates roles and database, or sets their passwords again where they exist.

    `admin_url` is a libpq URL of a superuser, to any database. Raises Unavailable if it cannot connect.
    """
    roles = (
        (settings.owner_user, settings.owner_password),
        (settings.app_user, settings.app_password),
        (settings.router_user, settings.router_password),
    )
    try:
        with psycopg.connect(
            admin_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
        ) as connection:
            for name, password in roles:
                _ensure_role(connection, name, password.reveal())
            _ensure_database(connection, settings)
    except psycopg.OperationalError as error:
        raise Unavailable("The database server does not answer.", remedy=str(error).strip()) from error


def _ensure_role(connection: psycopg.Connection, name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    connection.execute(
        sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE INHERIT PASSWORD {}"
        ).format(verb, sql.Identifier(name), sql.Literal(password))
    )


def _ensure_database(connection: psycopg.Connection, settings: DatabaseSettings) -> None:
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (settings.name,)).fetchone()
    name, owner = sql.Identifier(settings.name), sql.Identifier(settings.owner_user)
    if not known:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'").format(
                name, owner
            )
        )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for user in (settings.app_user, settings.router_user):
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(user)))
