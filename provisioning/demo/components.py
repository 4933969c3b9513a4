"""Which programs took part, in which version."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
import psutil

from provisioning.lite.box import Box

_TIMEOUT_SECONDS = 20
_NUMBER = re.compile(r"\d+(?:\.\d+)+|RELEASE\.[\w.-]+|DEVELOPMENT\.[\w.:-]+")
_SERVERS = {
    "postgres": ("PostgreSQL", "--version"),
    "redis": ("Redis", "--version"),
    "livekit": ("LiveKit server", "--version"),
    "minio": ("MinIO", "--version"),
}
_LIBRARIES = {"speech": "pocketsphinx", "worker": "livekit-agents", "jobs": "procrastinate"}


_ENGINES = {"triton": "recogniser", "language": "language", "voice": "voice"}


def components(
    box: Box, ready_ms: dict[str, float], engines: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Name, version and milliseconds to ready of each part; `unknown` where it does not tell.

    `engines`: what the real ones tell of themselves (`provisioning.demo.engines.facts`)."""
    ours = _package("trunkline")
    found: list[dict[str, Any]] = []
    for name, took in ready_ms.items():
        if name in _SERVERS:
            number = _program_version(box, name)
        elif name in _ENGINES:
            told = next(each for each in engines if each["part"] == _ENGINES[name])
            number = f"{told['engine']} {told['version']}"
        elif name == "asterisk":
            number = _gateway_version(box)
        else:
            library = _LIBRARIES.get(name)
            number = ours + (f" ({library} {_package(library)})" if library else "")
        found.append({"name": name, "version": number, "ready_ms": round(took)})
    return found


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _program_version(box: Box, name: str) -> str:
    """Asks the very program that runs."""
    for pid in box.pids(name):
        try:
            program = psutil.Process(pid).exe()
        except psutil.Error:
            continue
        if Path(program).name in ("nice", "setpriv", "runuser", "bash", "dash", "python3", "sudo"):
            continue
        try:
            done = subprocess.run(
                [program, _SERVERS[name][1]],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if match := _NUMBER.search(done.stdout + done.stderr):
            return f"{_SERVERS[name][0]} {match[0]}"
    return "unknown"


def _gateway_version(box: Box) -> str:
    gateway = box.settings.gateway
    try:
        answer = httpx.get(
            f"{gateway.ari_url}/ari/asterisk/info",
            auth=(gateway.ari_user, gateway.ari_password.reveal()),
            timeout=_TIMEOUT_SECONDS,
        )
        return f"Asterisk {answer.json()['system']['version']}"
    except (httpx.HTTPError, KeyError, ValueError):
        return "unknown"
