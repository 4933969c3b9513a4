"""Gives a box back what a backup holds: into databases beside the present ones, which then change places.

Nothing of the box is touched before the whole backup was read, restored and counted; the change of the names
is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from secrets import token_hex

import psycopg

from appliance.backups.archive import ArchiveReader
from appliance.backups.create import DATABASE, part_of_database
from appliance.backups.manifest import LastBackup, Manifest
from appliance.backups.postgres import Server, count_rows, drop, first_line, remember, restore, swap
from appliance.errors import Conflict, IntegrityError, Unavailable


@dataclass(frozen=True)
class Target:
    """A database to be filled. `make` makes an empty one of the given name, with its owner and grants."""

    name: str
    make: Callable[[str], None]

    @property
    def part(self) -> str:
        return part_of_database(self.name)


def check_target(
    server: Server, targets: Sequence[Target], manifest: Manifest, known: Sequence[str], *, replace: bool
) -> None:
    """Conflict when the backup cannot go there: rows would be lost, or it needs a newer release or server.

    `known`: the revisions of the schema that this release can bring to its own.
    """
    if manifest.schema_revision not in known:
        raise Conflict(
            f"A newer release made the backup ({manifest.version}, schema {manifest.schema_revision}).",
            remedy="Restore it with that release.",
            code="newer_release",
        )
    unknown = {part.name for part in manifest.parts if part.name.startswith(DATABASE)} - {
        target.part for target in targets
    }
    if unknown or not any(part.name == targets[0].part for part in manifest.parts):
        raise Conflict(
            "The backup is of databases with other names.", remedy="See `appliance backup verify`."
        )
    with server.connect("postgres") as connection:
        major = connection.info.server_version // 10_000
    if major < int(manifest.postgres.split(".")[0]):
        raise Conflict(
            f"The backup is of PostgreSQL {manifest.postgres}, and this is {major}.",
            remedy="Restore it where PostgreSQL is no older.",
            code="older_server",
        )
    parts = {part.name for part in manifest.parts}
    full = [t.name for t in targets if t.part in parts and not server.is_empty(t.name)]
    if full and not replace:
        raise Conflict(
            f"The database is not empty: {', '.join(full)}.",
            remedy="Give --replace to put the backup in its place; what is there now is lost then.",
            code="not_empty",
        )


def restore_databases(
    server: Server,
    targets: Sequence[Target],
    path: Path,
    passphrase: str,
    manifest: Manifest,
    last: LastBackup,
) -> None:
    """Replaces the targets by what the backup holds of them; the first of them is the box's own.

    IntegrityError or Unavailable: nothing has changed.
    """
    mark = token_hex(4)
    by_part = {target.part: target for target in targets}
    fresh: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            reader = ArchiveReader(file, passphrase)
            for part, pieces in groupby(reader, key=itemgetter(0)):
                target = by_part.get(part)
                if target is None:
                    continue
                fresh[target.name] = f"{target.name}_restored_{mark}"
                target.make(fresh[target.name])
                restore(server, fresh[target.name], _data(pieces))
        if reader.manifest != manifest:
            raise Conflict("The file has changed since it was looked at.", remedy="Begin again.")
        _compare(server, fresh[targets[0].name], manifest)
        remember_where_it_came_from(server, fresh[targets[0].name], last)
        old = swap(server, fresh, f"replaced_{mark}")
    except BaseException as error:
        for name in fresh.values():
            drop(server, name)
        if isinstance(error, psycopg.Error):
            raise Unavailable("The database did not take the backup.", remedy=first_line(error)) from error
        raise
    for name in old:
        drop(server, name)


def remember_where_it_came_from(server: Server, database: str, last: LastBackup) -> None:
    """The backup was read wholly a moment ago; a schema from before there were backups has no room for it."""
    with server.connect(database) as connection:
        known = connection.execute(
            "SELECT 1 FROM information_schema.columns "
            "WHERE table_name = 'box' AND column_name = 'last_backup'"
        ).fetchone()
    if known:
        remember(server, database, last)


def _data(pieces: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    return (data for _, data in pieces)


def _compare(server: Server, database: str, manifest: Manifest) -> None:
    with server.connect(database) as connection:
        found = count_rows(connection, list(manifest.rows))
    for table, rows in manifest.rows.items():
        if found[table] != rows:
            raise IntegrityError(
                f"{table} has {found[table]} rows after the restore and had {rows}.",
                remedy="Nothing was changed. Use another copy of the backup.",
            )
