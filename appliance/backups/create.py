"""Makes a backup, looks at those that are there, and proves one by reading all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from appliance.backups.archive import ArchiveReader, ArchiveWriter
from appliance.backups.manifest import LastBackup, Manifest
from appliance.backups.postgres import Server, dump, first_line, remember, snapshot
from appliance.backups.stream import Header, SealedWriter, new_header, read_header
from appliance.errors import Conflict, IntegrityError, NotFound, Unavailable

SUFFIX = ".tlbackup"
DATABASE = "database/"
"""Parts under this name are what pg_dump wrote; the others are small files."""
_MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Source:
    """Our database, further ones of the same server, and files by the name of their part."""

    server: Server
    database: str
    further: tuple[str, ...]
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Listed:
    """A file of a folder with backups; `header` None: it is not a backup, or damaged at its head."""

    path: Path
    size_bytes: int
    header: Header | None


def part_of_database(name: str) -> str:
    return f"{DATABASE}{name}.dump"


def create(source: Source, directory: Path, passphrase: str, *, scrypt_cost: int = 2**17) -> LastBackup:
    """Writes one backup into the directory, reads it back, and notes it in the box's database.

    The file gets its name only when it is whole and on the disk; after an error nothing of it is left.
    Raises Unavailable when the database is away or the disk is full, Conflict when the file exists.
    """
    made_at = datetime.now(UTC).replace(microsecond=0)
    path = directory / f"trunkline-{made_at:%Y%m%dT%H%M%SZ}{SUFFIX}"
    if path.exists():
        raise Conflict(f"{path} is there already.", remedy="Wait a second.")
    partial = path.with_name(f".{path.name}.partial")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write(source, partial, passphrase, made_at, scrypt_cost)
            verify(partial, passphrase)
            verified_at = datetime.now(UTC).replace(microsecond=0)
            partial.rename(path)
            _sync(directory)
        finally:
            partial.unlink(missing_ok=True)
    except psycopg.Error as error:
        raise Unavailable("The database did not let itself be read.", remedy=first_line(error)) from error
    except OSError as error:
        raise Unavailable(f"The backup could not be written into {directory}.", remedy=str(error)) from error
    last = LastBackup(
        file=path.name, made_at=made_at, size_bytes=path.stat().st_size, verified_at=verified_at
    )
    remember(source.server, source.database, last)
    return last


def _write(source: Source, partial: Path, passphrase: str, made_at: datetime, scrypt_cost: int) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, snapshot(source.server, source.database) as moment:
        release = version("trunkline")
        header = new_header(made_at, release, moment.schema_revision, scrypt_cost=scrypt_cost)
        archive = ArchiveWriter(SealedWriter(file, passphrase, header))
        for name, where in source.files.items():
            archive.add(name, iter([where.read_bytes()]))
        archive.add(part_of_database(source.database), dump(source.server, source.database, moment.name))
        for database in source.further:
            archive.add(part_of_database(database), dump(source.server, database))
        archive.finish(
            Manifest(
                made_at=made_at,
                version=release,
                schema_revision=moment.schema_revision,
                postgres=moment.server_version,
                parts=tuple(archive.parts),
                rows=moment.rows,
                buckets=moment.buckets,
            )
        )
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path, passphrase: str) -> tuple[Manifest, dict[str, bytes]]:
    """Reads all of it: the manifest and the small files are what was written, or IntegrityError says why not.

    NotFound when there is no such file.
    """
    files: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            reader = ArchiveReader(file, passphrase)
            for part, data in reader:
                if not part.startswith(DATABASE):
                    files[part] = files.get(part, b"") + data
                    if len(files[part]) > _MAX_FILE_BYTES:
                        raise IntegrityError(f"{part} in the backup is too large.", code="altered")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read.", remedy=str(error)) from error
    return reader.manifest, files


def listed(directory: Path) -> Iterator[Listed]:
    """The backups of a folder, the newest first, by what is written on them; nothing is proven."""
    if not directory.is_dir():
        raise NotFound(f"There is no folder {directory}.")
    for path in sorted(directory.glob(f"*{SUFFIX}"), reverse=True):
        try:
            with path.open("rb") as file:
                header: Header | None = read_header(file)[0]
        except (IntegrityError, OSError):
            header = None
        yield Listed(path, path.stat().st_size, header)
