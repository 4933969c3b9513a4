"""`appliance backup`: makes, lists, proves and restores backups of the box.

The passphrase comes from a file or from the environment, never from the command line, where every user of
the machine could read it.

Exit codes as everywhere: 0 good, 1 found something, 2 used wrongly, 3 not possible now.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.backups import create as backups
from appliance.backups.manifest import Manifest
from appliance.backups.stream import check_passphrase
from appliance.cli import EXIT_FOUND
from appliance.errors import InvalidInput
from provisioning.lite import backup
from provisioning.lite.box import Box
from provisioning.lite.cache import BOX_DIRECTORY

PASSPHRASE_VARIABLE = "TRUNKLINE_BACKUP_PASSPHRASE"  # noqa: S105 - a variable's name

app = typer.Typer(no_args_is_help=True, help="Backups of the box: database, accounts, keys (not recordings).")

Directory = Annotated[Path, typer.Option("--directory", help="The folder of the box.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help=f"Its first line is the passphrase; else {PASSPHRASE_VARIABLE}."),
]
File = Annotated[Path, typer.Argument(help="The backup.")]


@app.command()
def create(
    to: Annotated[Path, typer.Option("--to", help="The folder for the file; made when it is missing.")],
    directory: Directory = BOX_DIRECTORY,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Writes one backup and reads all of it back. Calls go on meanwhile.

    Without the passphrase nobody can open it, nor can you: keep the two in different places.
    """
    passphrase = check_passphrase(_passphrase(passphrase_file))
    made = backup.create(Box.open(directory), to, passphrase)
    _line(f"{to / made.file}: {made.size_bytes} bytes, verified")


@app.command("list")
def list_backups(directory: Annotated[Path, typer.Argument(help="The folder with backups.")]) -> None:
    """What lies in a folder, the newest first; needs no passphrase and proves nothing."""
    found = list(backups.listed(directory))
    if not found:
        _line(f"No backup in {directory}.")
    for each in found:
        head = each.header
        words = (
            f"{head.made_at:%Y-%m-%d %H:%M:%S} UTC  {each.size_bytes:>14} bytes  "
            f"Trunkline {head.version}, schema {head.schema_revision}"
            if head is not None
            else "NOT A BACKUP, or damaged"
        )
        _line(f"{each.path.name}  {words}")
    if any(each.header is None for each in found):
        raise typer.Exit(EXIT_FOUND)


@app.command()
def verify(file: File, passphrase_file: PassphraseFile = None) -> None:
    """Reads all of a backup and says what is in it. Exit code 1: wrong passphrase, cut off or altered."""
    manifest, _ = backups.verify(file, _passphrase(passphrase_file))
    _tell(manifest)
    _line(f"{file}: whole and unaltered")


@app.command()
def restore(
    file: File,
    directory: Directory = BOX_DIRECTORY,
    passphrase_file: PassphraseFile = None,
    replace: Annotated[bool, typer.Option("--replace", help="What the box has now is lost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    port_base: Annotated[
        int | None, typer.Option("--port-base", help="First port of a new box; else the old one's.")
    ] = None,
) -> None:
    """Gives a stopped box, or a new one, what a backup holds. Nothing is changed unless all of it can be."""
    passphrase = _passphrase(passphrase_file)
    manifest, files = backups.verify(file, passphrase)
    _tell(manifest)
    box = backup.open_or_new(directory, files, port_base)
    if not yes:
        _ask(f"Restore this into {directory}" + (", in place of what is there?" if replace else "?"))
    backup.restore(box, file, passphrase, (manifest, files), replace=replace)
    _line("Restored. Start the box by `appliance up`; it brings the schema to this release.")
    for bucket in manifest.buckets:
        lie = "recording lies" if bucket.recordings == 1 else "recordings lie"
        _line(f"{bucket.recordings} {lie} in the bucket {bucket.name}, which no backup holds.")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody is there to be asked.", field="yes", remedy="Give --yes.")
    typer.confirm(question, abort=True)


def _passphrase(file: Path | None) -> str:
    """InvalidInput when there is none."""
    if file is None:
        passphrase = os.environ.get(PASSPHRASE_VARIABLE, "")
    else:
        try:
            passphrase = next(iter(file.read_text(encoding="utf-8").splitlines()), "")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{file} cannot be read.", field="passphrase_file") from error
    if not passphrase:
        raise InvalidInput(
            "There is no passphrase.",
            field="passphrase",
            remedy=f"Write it into a file and name that by --passphrase-file, or set {PASSPHRASE_VARIABLE}.",
        )
    return passphrase


def _tell(manifest: Manifest) -> None:
    _line(
        f"Made {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC by Trunkline {manifest.version}, "
        f"schema {manifest.schema_revision}, PostgreSQL {manifest.postgres}."
    )
    for part in manifest.parts:
        _line(f"  {part.name:<40} {part.size_bytes:>14} bytes  sha256 {part.sha256}")
    rows = ", ".join(f"{table} {count}" for table, count in manifest.rows.items())
    _line(f"Rows: {rows}.")
    for bucket in manifest.buckets:
        _line(f"Not in it: bucket {bucket.name}, {bucket.recordings} recordings, {bucket.size_bytes} bytes.")


def _line(text: str) -> None:
    typer.echo(text)
