"""Which version of each server the set-up installed, for who looks at the box from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from provisioning.lite.asterisk_root import installed_version
from provisioning.setup import go_servers, keycloak

_DEBIAN_PACKAGES = ("postgresql-15", "redis-server")
_QUERY_SECONDS = 10


def installed(cache: Path) -> dict[str, str]:
    """By server; what is not installed is left out."""
    found = _debian()
    sources: dict[str, Callable[[], str]] = {
        "asterisk": lambda: installed_version(cache / "asterisk-root"),
        "keycloak": lambda: _there(keycloak.home(cache), keycloak.VERSION),
        **{
            server.name: (
                lambda server=server: go_servers.stamp(cache / "go" / "bin", server).read_text().strip()
            )
            for server in go_servers.SERVERS
        },
    }
    for name, source in sources.items():
        try:
            found[name] = source()
        except (OSError, ValueError, KeyError):
            continue
    return dict(sorted(found.items()))


def _there(folder: Path, version: str) -> str:
    folder.stat()
    return version


def _debian() -> dict[str, str]:
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *_DEBIAN_PACKAGES]
    try:
        lines = subprocess.run(
            query, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split(" ", 1) for line in lines if " " in line)
