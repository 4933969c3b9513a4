"""Keycloak from Maven's repository, unpacked and built once for PostgreSQL: its later starts are quick."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from provisioning.setup.step import SetupError, Step, run_logged

VERSION = "26.7.3"
BUILD_OPTIONS = (
    "--db=postgres",
    "--health-enabled=true",
    "--metrics-enabled=true",
    "--transaction-xa-enabled=false",
    "--features-disabled=ciba,device-flow,par,kerberos,docker",
)
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_REMEDY = "Is the Maven repository reachable? Its address is Maven's own setting (settings.xml)."


def home(cache: Path) -> Path:
    """Where it is unpacked and built."""
    return cache / "keycloak" / f"keycloak-{VERSION}"


def _stamp(cache: Path) -> Path:
    return home(cache) / "trunkline-build"


def _wanted() -> str:
    return " ".join((VERSION, *BUILD_OPTIONS))


def _is_built(cache: Path) -> bool:
    stamp = _stamp(cache)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _wanted()


def step(cache: Path, logs: Path) -> Step:
    log = logs / "keycloak.log"

    def run(progress: Callable[[str], None]) -> None:
        folder = home(cache)
        fetched = cache / "keycloak" / "download"
        shutil.rmtree(fetched, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        fetched.mkdir(parents=True)
        progress(f"fetching {VERSION}")
        # Two plain steps: Maven brings it into its own repository, and copies it from there.
        for what in (
            ("dependency:get", f"-Dartifact={ARTIFACT}", "-Dtransitive=false"),
            ("dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={fetched}"),
        ):
            run_logged(
                ["mvn", "-q", "-B", *what],
                log,
                what="Fetching Keycloak",
                remedy=_REMEDY,
                attempts=3,
                timeout_seconds=900,
            )
        _unpack(fetched, folder)
        progress("building it for PostgreSQL")
        run_logged(
            [str(folder / "bin" / "kc.sh"), "build", *BUILD_OPTIONS],
            log,
            what="Building Keycloak",
            remedy=f"See {log}; is Java 17 or newer installed?",
            environment={key: value for key, value in os.environ.items() if not key.startswith("KC_")},
        )
        shutil.rmtree(fetched)
        _stamp(cache).write_text(_wanted(), encoding="utf-8")

    return Step("Keycloak", done=lambda: _is_built(cache), run=run, needs=("Debian packages",))


def _unpack(fetched: Path, folder: Path) -> None:
    archives = list(fetched.glob("*.zip"))
    if len(archives) != 1:
        raise SetupError("Keycloak was fetched, but no archive came.", remedy=_REMEDY)
    with zipfile.ZipFile(archives[0]) as archive:
        names = archive.namelist()
        if any(re.match(r"(/|.*\.\.)", name) or not name.startswith(f"{folder.name}/") for name in names):
            raise SetupError(
                "Keycloak's archive is not what it should be.", remedy="Remove it and try again."
            )
        archive.extractall(folder.parent)  # every name was looked at
    for script in (folder / "bin").glob("*.sh"):
        script.chmod(0o755)
