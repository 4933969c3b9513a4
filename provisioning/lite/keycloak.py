"""Keycloak as a part of the box: a database of its own, and the realm of the declaration."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from psycopg import sql

from appliance.errors import Unavailable
from provisioning.lite import probes
from provisioning.lite.cache import cache_directory
from provisioning.lite.keycloak_account import PROVISIONER
from provisioning.lite.part import Part, Site
from provisioning.lite.postgres import connect_as_superuser
from provisioning.lite.settings_file import read_secret
from provisioning.setup.keycloak import home

HEAP = "512m"
DATABASE = "keycloak"
THEMES = Path(__file__).resolve().parents[1] / "identity" / "themes"

_JAVA_OPTIONS = (
    "-Xms128m",
    f"-Xmx{HEAP}",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+UseSerialGC",
    # The quick compiler alone: half the processor time at the start, and enough for some hundred sign-ins.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.security.egd=file:/dev/urandom",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Dquarkus-log-max-startup-records=10000",
    "-Dpicocli.disable.closures=true",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)


def _installed() -> Path:
    folder = home(cache_directory())
    if not (folder / "lib" / "quarkus" / "quarkus-application.dat").exists():
        raise Unavailable("Keycloak is not installed.", remedy="Run `make setup`.")
    return folder


def _command(_site: Site) -> list[str]:
    java = shutil.which("java")
    if java is None:
        raise Unavailable(
            "Java is not installed.", remedy="Run `make setup` (Debian package openjdk-17-jre-headless)."
        )
    folder = _installed()
    return [
        java,
        *_JAVA_OPTIONS,
        f"-Dkc.home.dir={folder}",
        f"-Djboss.server.config.dir={folder / 'conf'}",
        "-cp",
        str(folder / "lib" / "quarkus-run.jar"),
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        "start",
        "--optimized",
    ]


def _environment(site: Site) -> Mapping[str, str]:
    database = site.settings.database
    return {
        "KC_DB_URL": f"jdbc:postgresql://{database.host}:{database.port}/{DATABASE}",
        "KC_DB_USERNAME": DATABASE,
        "KC_DB_PASSWORD": read_secret(site.directory, "keycloak_database_password"),
        "KC_DB_POOL_MAX_SIZE": "10",
        "KC_CACHE": "local",
        "KC_HOSTNAME": site.settings.identity.url,
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(site.ports["keycloak"]),
        "KC_HTTP_MANAGEMENT_PORT": str(site.ports["keycloak_management"]),
        "KC_BOOTSTRAP_ADMIN_CLIENT_ID": PROVISIONER,
        "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": read_secret(site.directory, "keycloak_provisioning_secret"),
        "KC_SPI_THEME__FOLDER__DIR": str(THEMES),
        "KC_LOG": "console",
        "KC_LOG_CONSOLE_FORMAT": "%d{yyyy-MM-dd HH:mm:ss,SSS} %-5p [%c] %s%e%n",
    }


def _prepare(site: Site) -> None:
    """Its own database and role in the box's cluster; the password is set again where the role exists."""
    # What it compressed of an older theme it would go on serving.
    shutil.rmtree(_installed() / "data" / "tmp" / "kc-gzip-cache", ignore_errors=True)
    create_keycloak_database(site, DATABASE)


def create_keycloak_database(site: Site, database: str) -> None:
    """Its role, and a database of the given name that belongs to it; nothing the second time."""
    password = read_secret(site.directory, "keycloak_database_password")
    role, name = sql.Identifier(DATABASE), sql.Identifier(database)
    with connect_as_superuser(site, "postgres") as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (DATABASE,)).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                verb, role, sql.Literal(password)
            )
        )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(name, role)
            )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _provision(site: Site) -> None:
    from provisioning.identity.apply import apply_to_site

    apply_to_site(site)


KEYCLOAK = Part(
    name="keycloak",
    listens=("keycloak", "keycloak_management"),
    needs=("postgres",),
    of_call_path=False,
    prepare=_prepare,
    command=_command,
    environment=_environment,
    # "Started" is logged before its first administrator is made: the management port knows.
    probe=lambda site: probes.http(f"http://127.0.0.1:{site.ports['keycloak_management']}/health/ready"),
    provision=_provision,
    ready_seconds=600.0,
    stop_seconds=30,
)
