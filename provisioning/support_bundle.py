"""`appliance support-bundle`: what a helper from outside needs, in one file; also of a box that is broken."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.box.support_archive import Manifest, Sources, file_name
from appliance.box.support_bundle import make
from appliance.errors import InvalidInput, NotFound
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.cache import BOX_DIRECTORY


def support_bundle(
    to: Annotated[Path | None, typer.Option("--to", help="The file; else one with the time here.")] = None,
    directory: Annotated[Path, typer.Option("--directory", help="The folder of the box.")] = BOX_DIRECTORY,
) -> None:
    """Writes versions, health, settings without secrets, tables, disk, memory and logs into one .tar.gz.

    What cannot be read, because a part is away or broken, is named. Exit codes: 1 there is no box; 2 used
    wrongly.
    """
    named = os.environ.get(SETTINGS_VARIABLE)
    folder = Path(named).parent if named else directory.resolve()
    settings_file = Path(named) if named else folder / "settings.yaml"
    if not folder.is_dir():
        raise NotFound(f"There is no box in {folder}.", remedy="Name its folder by --directory.")
    at = datetime.now(UTC)
    path = to if to is not None else Path(file_name(at))
    manifest = asyncio.run(_write(_sources(folder, settings_file), path, at))
    sys.stdout.write(f"{path}: {len(manifest.files)} files, {path.stat().st_size} bytes\n")
    for name, reason in manifest.not_read.items():
        sys.stdout.write(f"  not read: {name}: {' '.join(reason.split())}\n")


def _sources(folder: Path, settings_file: Path) -> Sources:
    sources = Sources.of_file(
        settings_file,
        "`appliance support-bundle`",
        log_dirs=(folder / "log",),
        further_logs=(folder / "supervisor" / "supervisord.log",),
        secret_dirs=(folder / "secrets",),
    )
    if sources.settings is None:  # looking would write the settings anew
        return sources
    return replace(sources, further={"doctor.json": lambda: _doctor(folder)})


def _doctor(folder: Path) -> Any:
    from provisioning.lite.doctor import examine

    found = examine(folder)
    return [{"subject": f.subject, "good": f.good, "seen": f.seen, "remedy": f.remedy} for f in found]


async def _write(sources: Sources, path: Path, at: datetime) -> Manifest:
    """For its owner alone, and whole or not there at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", field="to", remedy="Name another file by --to."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            manifest = await make(sources, file, at)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return manifest
