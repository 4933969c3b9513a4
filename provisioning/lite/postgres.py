"""PostgreSQL: a cluster of the box's own, its roles and its database."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from appliance.backups.postgres import Server
from appliance.database.migrate import upgrade
from appliance.database.provision import create_database
from appliance.errors import Unavailable
from provisioning.lite import probes
from provisioning.lite.part import AWAITED_BY_CALLS, Part, Site
from provisioning.lite.seed import seed
from provisioning.lite.settings_file import read_secret, write_private

SUPERUSER = "postgres"
_SYSTEM_USER = "postgres"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise Unavailable(
            "PostgreSQL is not installed.", remedy="Run `make setup` (Debian package postgresql)."
        )
    return found[-1].parent


def _reachable_for_others(directory: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (directory, *directory.parents))


def _unprivileged(site: Site, command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root. Under a folder that only root may enter (a clone in root's home) its
    user is lent the right to pass through folders."""
    if os.geteuid() != 0:
        return list(command)
    prefix = ["setpriv", f"--reuid={_SYSTEM_USER}", f"--regid={_SYSTEM_USER}", "--init-groups"]
    if not _reachable_for_others(site.directory):
        prefix += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return [*prefix, *command]


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(_SYSTEM_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def _data(site: Site) -> Path:
    return site.directory / "postgres" / "data"


def _configuration(site: Site) -> str:
    """Statements and details of errors carry personal data: they stay out of the log."""
    settings = {
        "listen_addresses": site.settings.database.host,
        "port": str(site.ports["postgres"]),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "max_parallel_workers_per_gather": "0",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not site.durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return "".join(f"{key} = '{value}'\n" for key, value in settings.items())


def _prepare(site: Site) -> None:
    data = _data(site)
    if not (data / "PG_VERSION").exists():
        _initialise(site, data)
    file = data / "trunkline.conf"
    text = _configuration(site)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_private(file, text)
        _own(file)


def _initialise(site: Site, data: Path) -> None:
    folder = data.parent
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _own(folder)
    password_file = folder / "password"
    write_private(password_file, read_secret(site.directory, "postgres_superuser_password") + "\n")
    _own(password_file)
    command = [
        str(_programs() / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]
    log = site.log_path("initdb")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as output:
            result = subprocess.run(
                _unprivileged(site, command), stdout=output, stderr=output, cwd="/", timeout=120, check=False
            )
    finally:
        password_file.unlink()
    if result.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Unavailable("The database cluster could not be made.", remedy=f"See {log}: {' / '.join(last)}")
    with (data / "postgresql.conf").open("a", encoding="utf-8") as main:
        main.write("\ninclude 'trunkline.conf'\n")


def superuser_url(site: Site, database: str = "postgres") -> str:
    """For provisioning alone; no process of the box knows this password."""
    password = read_secret(site.directory, "postgres_superuser_password")
    address = f"{site.settings.database.host}:{site.ports['postgres']}"
    return f"postgresql://{SUPERUSER}:{password}@{address}/{database}"


def superuser_server(site: Site) -> Server:
    """The cluster with its own tools, for backups."""
    return Server(
        host=site.settings.database.host,
        port=site.ports["postgres"],
        user=SUPERUSER,
        password=read_secret(site.directory, "postgres_superuser_password"),
        programs=_programs(),
    )


def connect_as_superuser(site: Site, database: str) -> psycopg.Connection:
    """For provisioning alone; no process of the box knows this password."""
    return psycopg.connect(superuser_url(site, database), connect_timeout=5, autocommit=True)


def _provision(site: Site) -> None:
    """Roles, database, the extension that needs a superuser, the owner's migrations, the lite world."""
    create_database(site.settings.database, superuser_url(site))
    with connect_as_superuser(site, site.settings.database.name) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    upgrade(site.settings)
    seed(site.settings)


def _probe(site: Site) -> Callable[[], None]:
    password = read_secret(site.directory, "postgres_superuser_password")
    return probes.postgres(site.settings.database.host, site.ports["postgres"], SUPERUSER, password)


POSTGRES = Part(
    name="postgres",
    listens=("postgres",),
    niceness=AWAITED_BY_CALLS,
    prepare=_prepare,
    command=lambda site: _unprivileged(site, [str(_programs() / "postgres"), "-D", str(_data(site))]),
    probe=_probe,
    provision=_provision,
    stop_signal="INT",
    stop_seconds=30,
)
