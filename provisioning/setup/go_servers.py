"""The servers that are built from Go source: LiveKit and MinIO, each at one version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioning.machine_check.checks import go_program
from provisioning.setup.step import SetupError, Step, run_logged


@dataclass(frozen=True)
class GoServer:
    """`package` is built at `version`; its binary is kept under `name`."""

    name: str
    package: str
    version: str


SERVERS = (
    GoServer("livekit-server", "github.com/livekit/livekit-server/cmd/server", "v1.13.5"),
    # Release tags of MinIO are not served as module versions; this is the last commit of the upstream.
    GoServer("minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"),
)
_REMEDY = "Is the Go module proxy reachable? See `go env GOPROXY`; then run `make setup` again."


def stamp(binaries: Path, server: GoServer) -> Path:
    """The file that holds the version of what was built."""
    return binaries / f"{server.name}.version"


def _is_built(binaries: Path, server: GoServer) -> bool:
    kept = stamp(binaries, server)
    built = (binaries / server.name).exists() and kept.exists()
    return built and kept.read_text(encoding="utf-8").strip() == server.version


def step(server: GoServer, cache: Path, logs: Path) -> Step:
    binaries = cache / "go" / "bin"

    def run(progress: Callable[[str], None]) -> None:
        go = go_program()
        if go is None:
            raise SetupError("Go was not found.", remedy="Install Go into /usr/local/go.")
        building = cache / "go" / f"building-{server.name}"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        binaries.mkdir(parents=True, exist_ok=True)
        progress(f"building {server.version}")
        # Two compilers at a time: the other steps need memory and processors, too.
        run_logged(
            [go, "install", "-p", "2", f"{server.package}@{server.version}"],
            logs / f"go-{server.name}.log",
            what=f"Building {server.name}",
            remedy=_REMEDY,
            attempts=3,
            environment={**os.environ, "GOBIN": str(building), "GOTOOLCHAIN": "local"},
        )
        (built,) = building.iterdir()
        built.replace(binaries / server.name)
        stamp(binaries, server).write_text(server.version + "\n", encoding="utf-8")
        building.rmdir()

    return Step(server.name, done=lambda: _is_built(binaries, server), run=run)
