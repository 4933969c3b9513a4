"""What a machine must have for the lite profile, and what to do about what is missing.

Every check only reads. All of them run, so that the person sees everything that is missing at once.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3
DISK_BYTES = 6 * GIB
DISK_BYTES_WARM = 1 * GIB
MEMORY_BYTES = 4 * GIB
LOWEST_GO = (1, 26)
LOWEST_PYTHON = (3, 11)
HIGHEST_PYTHON = (3, 13)
DEBIAN = ("12", "13")
MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Finding:
    """What one check saw. `remedy` is empty when it is good."""

    subject: str
    seen: str
    remedy: str = ""

    @property
    def good(self) -> bool:
        return not self.remedy


def debian(os_release: Path = Path("/etc/os-release")) -> Finding:
    try:
        text = os_release.read_text(encoding="utf-8")
    except OSError:
        text = ""
    fields = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, flags=re.MULTILINE))
    seen = fields.get("PRETTY_NAME", platform.system())
    if fields.get("ID") == "debian" and fields.get("VERSION_ID") in DEBIAN:
        return Finding("Debian", seen)
    return Finding("Debian", seen, "Use Debian 12: the servers come from its packages.")


def architecture(machine: str = "") -> Finding:
    seen = machine or platform.machine()
    if seen in MACHINES:
        return Finding("processor", seen)
    return Finding(
        "processor", seen, f"Use one of {', '.join(MACHINES)}: the media library has no other build."
    )


def administrator(user_id: int | None = None) -> Finding:
    if (os.geteuid() if user_id is None else user_id) == 0:
        return Finding("rights", "root")
    return Finding("rights", "not root", "Run it as root, or by `sudo -E`: packages and the gateway need it.")


def python(version: Sequence[int]) -> Finding:
    seen = ".".join(str(part) for part in version[:3])
    if LOWEST_PYTHON <= tuple(version[:2]) <= HIGHEST_PYTHON:
        return Finding("Python", seen)
    return Finding(
        "Python", seen, "Use Python 3.11 (`apt-get install python3`), or name one: `make PYTHON=...`."
    )


def exact_python(version: Sequence[int], wanted: Sequence[int]) -> Finding:
    """For packages that are compiled for one version of Python."""
    seen, needed = ".".join(map(str, version)), ".".join(map(str, wanted))
    if tuple(version) == tuple(wanted):
        return Finding("Python of the engines", seen)
    return Finding(
        "Python of the engines", seen, f"The real engines need Python {needed}: `make PYTHON=python{needed}`."
    )


def go_program() -> str | None:
    """Path of the Go tool, also where its installer puts it."""
    usual = "/usr/local/go/bin/go"
    return shutil.which("go") or (usual if os.access(usual, os.X_OK) else None)


def go(program: str | None = None) -> Finding:
    program = program or go_program()
    remedy = f"Install Go {'.'.join(map(str, LOWEST_GO))} or newer into /usr/local/go."
    if program is None:
        return Finding("Go", "not found", remedy)
    try:
        output = subprocess.run(
            [program, "version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Go", f"{program} does not run: {error}", remedy)
    found = re.search(r"go(\d+)\.(\d+)", output)
    if found and (int(found[1]), int(found[2])) >= LOWEST_GO:
        return Finding("Go", f"{found[1]}.{found[2]}")
    return Finding("Go", output.strip(), remedy)


def disk(folder: Path, needed_bytes: int = DISK_BYTES) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    seen = f"{free / GIB:.1f} GiB free under {folder}"
    if free >= needed_bytes:
        return Finding("disk", seen)
    return Finding("disk", seen, f"Make room: {needed_bytes / GIB:.0f} GiB are needed.")


def memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo.read_text(encoding="utf-8"), flags=re.MULTILINE)
    total = int(found[1]) * 1024 if found else 0
    seen = f"{total / GIB:.1f} GiB"
    if total >= MEMORY_BYTES * 0.95:  # the kernel keeps a part for itself
        return Finding("memory", seen)
    return Finding("memory", seen, f"Give the machine {MEMORY_BYTES / GIB:.0f} GiB.")


def ports(wanted: Sequence[int], variable: str = "TRUNKLINE_PORT_BASE") -> Finding:
    """TCP and UDP on loopback; binds each for a moment."""
    taken = [
        port for port in wanted if not (_free(port, socket.SOCK_STREAM) and _free(port, socket.SOCK_DGRAM))
    ]
    seen = f"{min(wanted)}-{max(wanted)}"
    if not taken:
        return Finding("ports", f"{seen} free")
    listed = ", ".join(str(port) for port in taken)
    return Finding(
        "ports",
        f"taken: {listed}",
        f"End what holds them (`ss -lntup | grep {taken[0]}`), or choose another first port by {variable}.",
    )


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def run(checks: Sequence[Callable[[], Finding]]) -> list[Finding]:
    """Every finding, in order."""
    return [check() for check in checks]


def report(findings: Sequence[Finding], write: Callable[[str], object]) -> bool:
    """Tells a person; True when all is good. With a bad finding it says that nothing has been changed."""
    bad = [finding for finding in findings if not finding.good]
    if not bad:
        write("Machine: " + "; ".join(f"{finding.subject} {finding.seen}" for finding in findings) + "\n")
        return True
    write("This machine cannot run it yet. Nothing has been changed yet.\n")
    for finding in findings:
        mark = "ok     " if finding.good else "MISSING"
        write(f"  {mark} {finding.subject}: {finding.seen}\n")
        if not finding.good:
            write(f"          {finding.remedy}\n")
    return False
