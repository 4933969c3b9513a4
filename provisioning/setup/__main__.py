"""Checks the machine, then installs what is missing.

Exit codes: 0 good, 2 used wrongly, 3 not possible now.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from provisioning.lite.cache import BOX_DIRECTORY, REPOSITORY, cache_directory
from provisioning.lite.ports import DEFAULT_BASE, OFFSETS
from provisioning.machine_check import checks
from provisioning.setup import (
    browser_files,
    debian_packages,
    engines,
    gateway_root,
    go_servers,
    keycloak,
    python_environment,
)
from provisioning.setup.step import Output, SetupError, Step, run_steps

EXIT_USED_WRONGLY = 2
EXIT_NOT_POSSIBLE_NOW = 3


def steps(cache: Path, *, with_engines: bool = False) -> list[Step]:
    logs = cache / "log"
    plan = [
        debian_packages.step(logs),
        python_environment.step(REPOSITORY, cache, logs),
        *(go_servers.step(server, cache, logs) for server in go_servers.SERVERS),
        gateway_root.step(cache),
        browser_files.step(cache, logs),
        keycloak.step(cache, logs),
    ]
    return [*plan, *engines.steps(REPOSITORY, cache, logs)] if with_engines else plan


def look_at_machine(
    cache: Path, *, warm: bool, port_base: int | None, engines_bytes: int | None = None
) -> bool:
    """All checks, and what they found for a person; True when the set-up may go on."""
    wanted: list[Callable[[], checks.Finding]] = [
        checks.debian,
        checks.architecture,
        checks.administrator,
        lambda: checks.python(sys.version_info[:3]),
        checks.memory,
        functools.partial(
            checks.disk, cache, (checks.DISK_BYTES_WARM if warm else checks.DISK_BYTES) + (engines_bytes or 0)
        ),
    ]
    if engines_bytes is not None:
        wanted.append(lambda: checks.exact_python(sys.version_info[:2], engines.PYTHON))
    if not warm:
        wanted.append(checks.go)
    if port_base is not None:
        listed = [port_base + offset for name, offset in OFFSETS.items() if not name.startswith("rtp")]
        wanted.append(functools.partial(checks.ports, listed))
    return checks.report(checks.run(wanted), sys.stdout.write)


def _port_base() -> int:
    text = os.environ.get("TRUNKLINE_PORT_BASE", str(DEFAULT_BASE))
    if not text.isdecimal() or not 1024 <= int(text) <= 65000:
        sys.stderr.write(f"TRUNKLINE_PORT_BASE={text} is not a port that a box can begin at.\n")
        sys.exit(EXIT_USED_WRONGLY)
    return int(text)


def _box_runs() -> bool:
    """Its own running box holds the ports rightly."""
    try:
        pid = int((BOX_DIRECTORY / "supervisor" / "pid").read_text())
        return "supervisord" in Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m provisioning.setup", description="Checks the machine, then installs what is missing."
    )
    parser.add_argument("--check", action="store_true", help="look at the machine and change nothing")
    parser.add_argument("--for-box", action="store_true", help="check also that the box's ports are free")
    parser.add_argument("--engines", action="store_true", help="also the environments of the real engines")
    arguments = parser.parse_args()
    cache = cache_directory()
    plan = steps(cache, with_engines=arguments.engines)
    warm = all(step.done() for step in steps(cache))
    engines_bytes = engines.missing_bytes(REPOSITORY, cache) if arguments.engines else None
    port_base = _port_base() if arguments.for_box and not _box_runs() else None
    if not look_at_machine(cache, warm=warm, port_base=port_base, engines_bytes=engines_bytes):
        return EXIT_NOT_POSSIBLE_NOW
    if arguments.check:
        sys.stdout.write("Nothing has been changed.\n")
        return 0
    cache.mkdir(parents=True, exist_ok=True)
    output = Output()
    with (cache / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            output.line("Set-up: waiting for another one to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            run_steps(plan, output)
        except SetupError as error:
            return _failed(error)
    return 0


def _failed(error: SetupError) -> int:
    sys.stderr.write(f"\nset-up: {error}\n")
    if error.log is not None and error.log.exists():
        lines = error.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
        sys.stderr.write("".join(f"    {line[:300]}\n" for line in lines))
        sys.stderr.write(f"  log: {error.log}\n")
    if error.remedy:
        sys.stderr.write(f"  remedy: {error.remedy}\n")
    return EXIT_NOT_POSSIBLE_NOW


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main())
