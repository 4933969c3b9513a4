"""What a backup of a lite box consists of, and how a box gets it back.

In it: our database, Keycloak's where the box has one, the secrets that data depends on, the site's files.
Not in it: recordings (docs/adr/0197), models, sounds, and passwords between parts, which a box makes anew.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.access.domain import Actor, ActorKind
from appliance.audit import service as audit
from appliance.backups import create as backups
from appliance.backups.create import Source
from appliance.backups.manifest import LastBackup, Manifest
from appliance.backups.postgres import Server
from appliance.backups.restore import Target, check_target, restore_databases
from appliance.database.engine import create_engine
from appliance.database.migrate import known_revisions
from appliance.database.provision import create_database
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, IntegrityError
from provisioning.lite.box import Box
from provisioning.lite.keycloak import DATABASE as KEYCLOAK_DATABASE
from provisioning.lite.keycloak import create_keycloak_database
from provisioning.lite.postgres import superuser_server, superuser_url
from provisioning.lite.settings_file import SECRETS, secret_path, write_private

SECRETS_OF_DATA = (
    "box_key",
    "audit_key",
    "object_store_secret_key",
    "console_client_secret",
    "members_client_secret",
    "keycloak_provisioning_secret",
    "first_login_password",
)
"""Without the first one no recording opens; Keycloak's database knows the last four."""
SITE_FILES = ("box.json", "settings.yaml", "identity.yaml")
_SECRETS = "secrets/"
_SITE = "site/"


def create(box: Box, directory: Path, passphrase: str) -> LastBackup:
    """One backup of the box, proven. The database is started for it when it does not run."""
    with _database(box) as server:
        files = {
            _SECRETS + name: path
            for name in SECRETS_OF_DATA
            if (path := secret_path(box.directory, name)).exists()
        }
        files |= {_SITE + name: path for name in SITE_FILES if (path := box.directory / name).exists()}
        further = (KEYCLOAK_DATABASE,) if server.knows(KEYCLOAK_DATABASE) else ()
        source = Source(server, box.settings.database.name, further, files)
        made = backups.create(source, directory, passphrase)
        asyncio.run(_write_down(box, made))
        return made


async def _write_down(box: Box, made: LastBackup) -> None:
    """In the box's log: somebody has a copy of everything now."""
    operator = Actor(ActorKind.SYSTEM, "appliance", "The operator at the box", None)
    application = create_engine(box.settings.database, "app")
    try:
        async with UnitOfWork(application, None) as uow:
            after = made.model_dump(mode="json")
            await audit.record(uow, operator, "box.backup", f"backup:{made.file}", after=after)
    finally:
        await application.dispose()


def open_or_new(directory: Path, files: Mapping[str, bytes], port_base: int | None) -> Box:
    """The box of this folder, or a new one with the ports, overrides and engines of the box that was backed
    up."""
    if Box.exists(directory):
        return Box.open(directory)
    try:
        kept: dict[str, Any] = json.loads(files[_SITE + "box.json"])
        base = port_base if port_base is not None else int(kept["port_base"])
        return Box(
            directory, base, overrides=kept["overrides"], engines=kept["engines"], durable=kept["durable"]
        )
    except (KeyError, ValueError, TypeError) as error:
        raise IntegrityError("The backup does not say what box it is of.", code="altered") from error


def restore(
    box: Box, path: Path, passphrase: str, proven: tuple[Manifest, Mapping[str, bytes]], *, replace: bool
) -> None:
    """Gives the box what the backup holds; `proven` is what `verify` gave of it.

    The other parts of the box must be stopped: they would write meanwhile.

    Conflict: they run, or the database is not empty and `replace` is False. After an error the box is as it
    was; files that the backup replaces are kept beside, as `<name>.before-restore-<time>`.
    """
    manifest, files = proven
    running = set(box.running()) - {"postgres"}
    if running:
        raise Conflict(
            f"The box runs: {', '.join(sorted(running))}.", remedy="Stop it by `appliance down`, then repeat."
        )
    database = box.settings.database

    def make(name: str) -> None:
        create_database(database.model_copy(update={"name": name}), superuser_url(box.site))

    targets = [
        Target(database.name, make),
        Target(KEYCLOAK_DATABASE, lambda name: create_keycloak_database(box.site, name)),
    ]
    last = LastBackup(
        file=path.name,
        made_at=manifest.made_at,
        size_bytes=path.stat().st_size,
        verified_at=datetime.now(UTC).replace(microsecond=0),
    )
    with _database(box) as server:
        check_target(server, targets, manifest, known_revisions(box.settings), replace=replace)
        restore_databases(server, targets, path, passphrase, manifest, last)
        _put_back(box.directory, files)


def _put_back(directory: Path, files: Mapping[str, bytes]) -> None:
    """Secrets, and the sign-in of the site. Its other files tell of the machine, and stay as they are."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    wanted = {_SECRETS + name: secret_path(directory, name) for name in SECRETS}
    wanted[_SITE + "identity.yaml"] = directory / "identity.yaml"
    for part, path in wanted.items():
        if part not in files or (path.exists() and path.read_bytes() == files[part]):
            continue
        if path.exists():
            os.link(path, path.with_name(f"{path.name}.before-restore-{stamp}"))
        write_private(path, files[part].decode())


@contextmanager
def _database(box: Box) -> Generator[Server]:
    """The box's PostgreSQL, started bare when it does not run, and then stopped again."""
    ran = "postgres" in box.running()
    if not ran:
        box.start_bare("postgres")
    try:
        yield superuser_server(box.site)
    finally:
        if not ran:
            box.stop("postgres")
            if not box.running():
                box.stop_all()
