"""The environments of the real engines, each from its own lock file: `<cache>/engines/<name>`.

Three of them, because vLLM and NeMo pin different packages and Triton's backend wants an old numpy. The big
packages lie once on the disk: uv unpacks them into its cache and links them into the environments.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from provisioning.setup.python_environment import uv_program
from provisioning.setup.step import Step, run_logged

GIB = 1024**3
PYTHON = (3, 11)
"""The lock files name wheels of this version: Triton's backend and vLLM's CPU build are compiled for it."""
_PROGRESS_SECONDS = 15.0
_REMEDY = "Is the Python package registry reachable, and is there room on the disk? Then run it again."
_BEGUN = re.compile(r"^Downloading (\S+)", re.MULTILINE)
_ENDED = re.compile(r"^ ?Downloaded (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class EngineEnvironment:
    """`name` is the folder's and the lock file's. `metadata` are packages that look themselves up by a name
    that they were not published under: name → version. `disk_gib` is a planning figure."""

    name: str
    what: str
    disk_gib: int
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


ENVIRONMENTS = (
    EngineEnvironment("triton", "Triton", 1),
    EngineEnvironment("speech", "NeMo and Coqui", 8),
    EngineEnvironment("language", "vLLM", 6, {"vllm": "0.32.0+cpu"}),
)


def folder_of(name: str, cache: Path) -> Path:
    return cache / "engines" / name


def stamp(repository: Path, cache: Path, environment: EngineEnvironment) -> str:
    """Changes when the environment must be made anew."""
    lock = (repository / "lock" / f"{environment.name}.txt").read_bytes()
    return json.dumps(
        {
            "lock": hashlib.sha256(lock).hexdigest(),
            "metadata": dict(environment.metadata),
            "python": sys.version.split()[0],
            "place": str(folder_of(environment.name, cache)),
        }
    )


def _distribution(folder: Path, name: str, version: str) -> Path:
    packages = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    return folder / packages / f"{name}-{version}.dist-info"


def write_metadata(folder: Path, environment: EngineEnvironment) -> None:
    """Lets `importlib.metadata` find a package under the name that it calls itself."""
    for name, version in environment.metadata.items():
        distribution = _distribution(folder, name, version)
        distribution.mkdir(parents=True, exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (distribution / "METADATA").write_text(text, encoding="utf-8")


@contextmanager
def _progress_of(log: Path, progress: Callable[[str], None]) -> Generator[None]:
    """Tells how many of the big packages have come, from what uv writes into the log."""
    began_at = log.stat().st_size if log.exists() else 0
    over = threading.Event()

    def watch() -> None:
        told = ""
        while not over.wait(_PROGRESS_SECONDS):
            with log.open("rb") as stream:
                stream.seek(began_at)
                text = stream.read().decode("utf-8", "replace")
            begun, ended = set(_BEGUN.findall(text)), set(_ENDED.findall(text))
            line = f"{len(ended)} of {len(begun)} large packages have come"
            if begun and line != told:
                progress(line)
                told = line

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join(timeout=5)


def step(environment: EngineEnvironment, repository: Path, cache: Path, logs: Path) -> Step:
    folder = folder_of(environment.name, cache)
    marker = folder / "trunkline-stamp.json"
    log = logs / f"engines-{environment.name}.log"
    variables = {
        **os.environ,
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": "300",
        "UV_LINK_MODE": "hardlink",
    }

    def done() -> bool:
        try:
            return marker.read_text(encoding="utf-8") == stamp(repository, cache, environment)
        except OSError:
            return False

    def call(arguments: Sequence[str], what: str) -> None:
        uv = str(uv_program(cache))
        run_logged([uv, *arguments], log, what=what, remedy=_REMEDY, environment=variables, attempts=3)

    def run(progress: Callable[[str], None]) -> None:
        marker.unlink(missing_ok=True)
        for name, version in environment.metadata.items():  # uv cannot uninstall what it did not install
            shutil.rmtree(_distribution(folder, name, version), ignore_errors=True)
        python = folder / "bin" / "python"
        if not python.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            call(["venv", "--clear", "--python", sys.executable, str(folder)], "Making the environment")
        lock = str(repository / "lock" / f"{environment.name}.txt")
        logs.mkdir(parents=True, exist_ok=True)
        log.touch()
        progress("installing the locked packages")
        with _progress_of(log, progress):
            call(
                ["pip", "sync", "--python", str(python), "--require-hashes", lock],
                f"Installing {environment.what}",
            )
        write_metadata(folder, environment)
        marker.write_text(stamp(repository, cache, environment), encoding="utf-8")

    return Step(f"engines/{environment.name}", done=done, run=run, needs=("Python environment",))


def missing_bytes(repository: Path, cache: Path) -> int:
    """The room on the disk that the environments take which are not there yet."""
    missing = (e for e in ENVIRONMENTS if not step(e, repository, cache, cache / "log").done())
    return sum(environment.disk_gib for environment in missing) * GIB


def steps(repository: Path, cache: Path, logs: Path) -> list[Step]:
    return [step(environment, repository, cache, logs) for environment in ENVIRONMENTS]
