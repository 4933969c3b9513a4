"""The Debian packages: installed only when one is missing, and without starting the services they bring."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from provisioning.setup.step import SetupError, Step, run_logged

PACKAGES = {
    "asterisk-core-sounds-en-wav": "recorded voices for the tests",
    "ca-certificates": "the registries' certificates",
    "chromium": "the browser of the console tests",
    "debootstrap": "makes the gateway's root filesystem",
    "espeak-ng": "the lite voice",
    "flite": "the test caller's voice",
    "gcc": "compiles the gateway's module",
    "libc6-dev": "headers for the gateway's module",
    "maven": "fetches Keycloak",
    "openjdk-17-jre-headless": "runs Keycloak",
    "postgresql": "the database",
    "python3-venv": "the Python environment",
    "redis-server": "LiveKit's message bus",
    "sip-tester": "SIP callers of the tests",
    "sox": "sound files of the tests",
    "util-linux": "runs servers without root's rights",
}
_UNLESS_ON_THE_PATH = {"npm": "fetches what the console gives to browsers"}
"""Of these any installation will do: Debian's npm brings some hundred packages along."""
_POLICY = Path("/usr/sbin/policy-rc.d")
_REMEDY = "Try `apt-get update` and `apt-get install` by hand; is another apt running?"


def missing() -> list[str]:
    """Packages that dpkg does not list as installed, and those whose program is nowhere on the PATH."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False).stdout
    installed = {line.split()[0] for line in answer.splitlines() if line.endswith(" installed")}
    found = [name for name in PACKAGES if name not in installed]
    return found + [name for name in _UNLESS_ON_THE_PATH if shutil.which(name) is None]


@contextmanager
def _no_service_starts() -> Generator[None]:
    """Debian's packages start their servers on the usual ports; ours run under our own supervisor."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def step(logs: Path) -> Step:
    def run(progress: Callable[[str], None]) -> None:
        wanted = missing()
        progress("installing " + ", ".join(wanted))
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-q", "-y"]
        log = logs / "debian-packages.log"

        def apt_get(*arguments: str, what: str) -> None:
            run_logged(
                [*apt, *arguments], log, what=what, remedy=_REMEDY, environment=environment, attempts=3
            )

        try:
            apt_get("update", what="Reading the package lists")
        except SetupError:  # a source of the person's own may be away; what we need may be in the others
            progress("not every package source answers; going on with the others")
        with _no_service_starts():
            apt_get("install", "--no-install-recommends", *wanted, what="Installing Debian packages")

    return Step("Debian packages", done=lambda: not missing(), run=run)
