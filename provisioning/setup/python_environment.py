"""`.venv` from the lock file, by uv, which is itself pinned and lives in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from provisioning.setup.step import Step, run_logged

UV_VERSION = "0.13.9"
_REMEDY = "Is the Python package registry reachable? Its address is pip's and uv's own setting."


def uv_program(cache: Path) -> Path:
    return cache / "tools" / f"uv-{UV_VERSION}" / "bin" / "uv"


def _stamp(repository: Path) -> str:
    """Changes when the environment must be made anew."""
    digest = hashlib.sha256()
    for name in ("lock/requirements.txt", "pyproject.toml"):
        digest.update((repository / name).read_bytes())
    return json.dumps(
        {
            "inputs": digest.hexdigest(),
            "python": sys.version.split()[0],
            "uv": UV_VERSION,
            "place": str(repository),
        }
    )


def step(repository: Path, cache: Path, logs: Path) -> Step:
    environment_folder = repository / ".venv"
    stamp_file = environment_folder / "trunkline-stamp.json"
    log = logs / "python-environment.log"
    environment = {
        **os.environ,
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": "180",
        "UV_LINK_MODE": "hardlink",
        "UV_COMPILE_BYTECODE": "1",  # while others download; else eleven parts compile the same at once
        "UV_COMPILE_BYTECODE_TIMEOUT": "600",
    }

    def done() -> bool:
        return (
            stamp_file.exists()
            and stamp_file.read_text(encoding="utf-8") == _stamp(repository)
            and uv_program(cache).exists()
        )

    def install_uv(progress: Callable[[str], None]) -> None:
        program = uv_program(cache)
        if program.exists():
            return
        progress(f"installing uv {UV_VERSION}")
        folder = program.parents[1]
        run_logged(
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            log,
            what="Making a Python environment for uv",
            remedy="Install Debian's python3-venv.",
        )
        run_logged(
            [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"uv=={UV_VERSION}"],
            log,
            what="Installing uv",
            remedy=_REMEDY,
            attempts=3,
        )

    def run(progress: Callable[[str], None]) -> None:
        install_uv(progress)
        uv = str(uv_program(cache))

        def call(*arguments: str, what: str) -> None:
            run_logged([uv, *arguments], log, what=what, remedy=_REMEDY, environment=environment, attempts=3)

        stamp_file.unlink(missing_ok=True)
        python = str(environment_folder / "bin" / "python")
        if not (environment_folder / "bin" / "python").exists():
            call("venv", "--python", sys.executable, str(environment_folder), what="Making the environment")
        progress("installing the locked packages")
        lock = str(repository / "lock" / "requirements.txt")
        call("pip", "sync", "--python", python, "--require-hashes", lock, what="Installing packages")
        call(
            *("pip", "install", "--python", python, "--no-deps", "--no-build-isolation"),
            *("--editable", str(repository)),
            what="Installing Trunkline itself",
        )
        stamp_file.write_text(_stamp(repository), encoding="utf-8")

    return Step("Python environment", done=done, run=run, needs=("Debian packages",))
