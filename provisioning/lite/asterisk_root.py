"""The root filesystem in which Asterisk lives: Debian unstable by debootstrap, with its packages inside.

Debian 12 has no Asterisk. The root is made once into the cache, beside its final place, and renamed when it
is whole; so an interrupted installation leaves nothing that looks finished. Standard library only: set-up
calls this before the Python environment exists.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str], None]

SUITE = "sid"
PACKAGES = ("asterisk", "asterisk-modules", "asterisk-config")
TESTED_MAJOR = "22"
LAYOUT = 2
"""Raise it when the content of the root changes: older roots are then made anew."""

_MODULE = Path(__file__).with_name("asterisk_module")

_STAMP = "trunkline-root.json"
_TIMEOUT_SECONDS = 1800
_USELESS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "var/lib/apt/lists",
    "var/cache/apt/archives",
    "var/cache/debconf",
)
# Unstable's postinst scripts must not start the daemon, and nothing in a cache needs to survive a power cut.
_POLICY = "#!/bin/sh\nexit 101\n"
_DPKG = "force-unsafe-io\n" + "".join(
    f"path-exclude=/{folder}/*\n" for folder in _USELESS if folder.startswith("usr/share")
)


class RootInstallError(RuntimeError):
    """The root could not be made; the message says which step failed and where its output is."""


def install_root(cache: Path, progress: Progress) -> Path:
    """Makes `cache/asterisk-root` unless it is there and whole, and returns it.

    Needs to be root, and Debian's `debootstrap`, `util-linux`, `gcc` and `libc6-dev`; takes 1 to 5 minutes
    and 400 MB. Safe to repeat and to run twice at once: the second waits. Raises RootInstallError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / "asterisk-root"
    with (cache / "asterisk-root.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_whole(root):
            return root
        partial, previous = cache / "asterisk-root.partial", cache / "asterisk-root.previous"
        for left_over in (partial, previous):
            _remove(left_over)
        started = time.monotonic()
        log = cache / "asterisk-root.log"
        with log.open("w", encoding="utf-8") as output:
            version = _make(partial, output.fileno(), log, progress)
        stamp = {"layout": _layout(), "suite": SUITE, "asterisk": version}
        (partial / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        if root.exists():
            # An Asterisk that runs in it keeps it; the next installation clears it away.
            root.rename(previous)
        partial.rename(root)
        progress(f"Asterisk {version} installed in {time.monotonic() - started:.0f} s")
        return root


def is_installed(cache: Path) -> bool:
    """Whether the root is there and whole; quick."""
    return _is_whole(cache / "asterisk-root")


def installed_version(root: Path) -> str:
    """Debian's version of the Asterisk package in this root, for example `1:22.10.0~dfsg-1`."""
    return str(json.loads((root / _STAMP).read_text(encoding="utf-8"))["asterisk"])


def user_ids(root: Path) -> tuple[int, int]:
    """User and group id of `asterisk` inside the root. RootInstallError when the root has no such user."""
    for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == "asterisk":
            return int(fields[2]), int(fields[3])
    raise RootInstallError(f"{root} has no user asterisk; remove the folder and set up again.")


def _is_whole(root: Path) -> bool:
    try:
        stamp = json.loads((root / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp.get("layout") == _layout() and (root / "usr/sbin/asterisk").is_file()


def _layout() -> str:
    """What the root holds besides Debian's packages, as a name that changes with it."""
    digest = hashlib.sha256()
    for source in sorted(path for path in _MODULE.rglob("*") if path.is_file()):
        digest.update(source.read_bytes())
    return f"{LAYOUT}-{digest.hexdigest()[:16]}"


def _make(root: Path, output: int, log: Path, progress: Progress) -> str:
    progress("Asterisk: making a Debian root filesystem (1-5 minutes)")
    mirror = _mirror()
    # Mounts (/proc) live in a namespace of the command alone: nothing stays mounted, however it ends.
    unshare = ["unshare", "--mount", "--propagation", "private"]
    debootstrap = ["debootstrap", "--variant=minbase", SUITE, str(root), *([mirror] if mirror else [])]
    _run([*unshare, *debootstrap], output, log)
    progress("Asterisk: installing the packages")
    (root / "usr/sbin/policy-rc.d").write_text(_POLICY, encoding="utf-8")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/dpkg/dpkg.cfg.d/trunkline").write_text(_DPKG, encoding="utf-8")
    (root / "etc/apt/apt.conf.d/90trunkline").write_text(_apt_settings(), encoding="utf-8")
    for name in ("resolv.conf", "hosts"):
        shutil.copyfile(f"/etc/{name}", root / "etc" / name)
    install = "apt-get update && apt-get install -y --no-install-recommends " + " ".join(PACKAGES)
    script = f'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "{install}"'
    _run([*unshare, "sh", "-c", script, "sh", str(root)], output, log)
    version = _asterisk_version(root)
    if not version.removeprefix("1:").startswith(f"{TESTED_MAJOR}."):
        progress(f"Asterisk: unstable now has {version}; this release was tested with {TESTED_MAJOR}")
    progress("Asterisk: building the module that adds Retry-After")
    _run([*unshare, str(_MODULE / "build.sh"), str(root), version], output, log)
    for folder in _USELESS:
        _remove(root / folder)
        (root / folder).mkdir(parents=True)
    (root / "srv/trunkline").mkdir(parents=True, exist_ok=True)
    return version


def _asterisk_version(root: Path) -> str:
    query = ["dpkg-query", "--admindir", str(root / "var/lib/dpkg"), "-W", "-f", "${Version}", "asterisk"]
    return subprocess.run(query, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _mirror() -> str | None:
    """The Debian mirror that this machine already uses, or None for debootstrap's own choice."""
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    for line in listed.splitlines():
        uri, _, label = line.partition(" ")
        if label.strip() == "Debian":
            return uri
    return None


def _apt_settings() -> str:
    """This machine's ways of reaching its mirror (proxies, date checks), for the apt inside the root."""
    dumped = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, timeout=60
    ).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv4")
    kept = [line for line in dumped.splitlines() if line.startswith(wanted)]
    return "\n".join([*kept, 'Acquire::Languages "none";', 'APT::Install-Suggests "false";', ""])


def _run(command: list[str], output: int, log: Path) -> None:
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
    }
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            timeout=_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise RootInstallError(f"{command[0]} is not installed: apt-get install {command[0]}") from error
    except subprocess.SubprocessError as error:
        raise RootInstallError(f"Asterisk could not be installed ({command[0]} failed); see {log}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
