"""PostgreSQL's own tools at work for a backup: a snapshot, pg_dump out of it, pg_restore, the swap.

The connection is an administrator's: row-level security is forced on the owner too, so that nobody else sees
all rows. Its password reaches the tools by their environment, never by their command line.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import psycopg
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from appliance.backups.manifest import Bucket, LastBackup
from appliance.errors import Conflict, TrunklineError, Unavailable

CONNECT_TIMEOUT_SECONDS = 5
LOCK_TIMEOUT_SECONDS = 30
SWAP_PATIENCE_SECONDS = 20.0
_READ_BYTES = 256 * 1024
MAIN_TABLES = (
    *("organizations", "agents", "agent_versions", "trunks", "numbers", "calls", "turns"),
    *("transcript_segments", "bookings", "orders", "recordings", "webhook_endpoints", "audit_entries"),
)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, an administrator's way into it, and the folder of the tools that belong to it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    programs: Path

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Unavailable when it does not answer."""
        try:
            return psycopg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=database,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="trunkline-backup",
            )
        except psycopg.OperationalError as error:
            raise Unavailable(
                f"The database {database} does not answer.", remedy="Start it by `appliance up`."
            ) from error

    def knows(self, database: str) -> bool:
        with self.connect("postgres") as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        return row is not None

    def is_empty(self, database: str) -> bool:
        """No table of anybody in it, or no such database."""
        if not self.knows(database):
            return True
        with self.connect(database) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
                "AND n.nspname NOT LIKE 'pg_toast%'"
            ).fetchone()
        return tables is not None and tables[0] == 0

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_SECONDS),
            "PGAPPNAME": "trunkline-backup",
            "LC_ALL": "C.UTF-8",
        }


@dataclass(frozen=True)
class Snapshot:
    """One moment of a database, as long as its transaction is open."""

    name: str
    server_version: str
    schema_revision: str
    rows: dict[str, int]
    buckets: tuple[Bucket, ...]


@contextmanager
def snapshot(server: Server, database: str) -> Generator[Snapshot]:
    """Counts, and a name by which pg_dump sees the very same moment."""
    with server.connect(database) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        name = _one(connection, "SELECT pg_export_snapshot()")
        found = connection.execute(
            "SELECT bucket, count(*), coalesce(sum(size_bytes), 0)::bigint FROM recordings "
            "WHERE state = 'stored' GROUP BY bucket ORDER BY bucket"
        ).fetchall()
        yield Snapshot(
            name=str(name),
            server_version=str(_one(connection, "SHOW server_version")).split()[0],
            schema_revision=str(_one(connection, "SELECT version_num FROM alembic_version")),
            rows=count_rows(connection, MAIN_TABLES),
            buckets=tuple(Bucket(name=row[0], recordings=row[1], size_bytes=row[2]) for row in found),
        )


def count_rows(connection: psycopg.Connection[Any], tables: Sequence[str]) -> dict[str, int]:
    return {
        table: int(
            _one(connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table)))
        )
        for table in tables
    }


def _one(connection: psycopg.Connection[Any], statement: Any) -> Any:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def dump(server: Server, database: str, of_snapshot: str | None = None) -> Iterator[bytes]:
    """What `pg_dump -Fc` writes. Unavailable when it fails: then nothing of it is a backup."""
    command = [str(server.programs / "pg_dump"), "--format=custom", f"--dbname={database}", "--no-password"]
    command.append(f"--lock-wait-timeout={LOCK_TIMEOUT_SECONDS}s")
    if of_snapshot is not None:
        command.append(f"--snapshot={of_snapshot}")
    with _running(server, command, stdout=subprocess.PIPE) as (process, complaints):
        assert process.stdout is not None
        while data := process.stdout.read(_READ_BYTES):
            yield data
        if process.wait() != 0:
            _failed("pg_dump", complaints)


def restore(server: Server, database: str, content: Iterator[bytes]) -> None:
    """`pg_restore` into an empty database, all or nothing."""
    command = [str(server.programs / "pg_restore"), f"--dbname={database}", "--no-password"]
    command += ["--single-transaction", "--exit-on-error"]
    with _running(server, command, stdin=subprocess.PIPE) as (process, complaints):
        assert process.stdin is not None
        try:
            for data in content:
                process.stdin.write(data)
            process.stdin.close()
        except BrokenPipeError:
            process.wait()
            _failed("pg_restore", complaints)
        if process.wait() != 0:
            _failed("pg_restore", complaints)


@contextmanager
def _running(
    server: Server, command: Sequence[str], *, stdin: int | None = None, stdout: int | None = None
) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command, env=server.environment(), stdin=stdin, stdout=stdout, stderr=complaints, cwd="/"
            )
        except OSError as error:
            raise Unavailable(f"{command[0]} cannot be started.", remedy="Run `make setup`.") from error
        try:
            yield process, complaints
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        continue


def _failed(tool: str, complaints: IO[bytes]) -> NoReturn:
    """Its first line names what went wrong; the later ones may hold rows."""
    complaints.seek(0)
    first = complaints.readline(300).decode(errors="replace").strip()
    raise Unavailable(f"{tool} did not succeed.", remedy=first)


def first_line(error: psycopg.Error) -> str:
    """Without the details, which may hold a row."""
    return error.diag.message_primary or type(error).__name__


def drop(server: Server, database: str) -> None:
    with server.connect("postgres") as connection:
        connection.autocommit = True
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )


def swap(server: Server, fresh: dict[str, str], mark: str) -> list[str]:
    """Gives the fresh databases (`{name: fresh one}`) their names, all at once; those that had the names get
    another, which is returned. Conflict when somebody does not leave an old one."""
    old = {name: f"{name}_{mark}" for name in fresh if server.knows(name)}
    give_up = time.monotonic() + SWAP_PATIENCE_SECONDS
    while True:
        try:
            with server.connect("postgres") as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)",
                    ([*old, *fresh.values()],),
                )
                for name, kept in old.items():
                    _rename(connection, name, kept)
                for name, new in fresh.items():
                    _rename(connection, new, name)
            return list(old.values())
        except errors.ObjectInUse as error:
            if time.monotonic() > give_up:
                raise Conflict(
                    "Somebody goes on using the database.", remedy="Stop the box: `appliance down`."
                ) from error
            time.sleep(0.2)


def _rename(connection: psycopg.Connection[Any], old: str, new: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def remember(server: Server, database: str, last: LastBackup) -> None:
    """For the console: it reads `box.last_backup`."""
    try:
        with server.connect(database) as connection:
            connection.execute("UPDATE box SET last_backup = %s", (Jsonb(last.model_dump(mode="json")),))
    except errors.UndefinedColumn as error:
        raise TrunklineError(
            "The backup is there, but the database cannot note it: its schema is older than this release.",
            remedy="Run `appliance database upgrade`.",
        ) from error
