"""What is wrong with this machine, its set-up, or the box on it? Only looks."""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.errors import TrunklineError
from provisioning.lite.box import Box
from provisioning.lite.cache import cache_directory
from provisioning.machine_check import checks
from provisioning.machine_check.checks import Finding
from provisioning.setup.__main__ import steps

_REMEDIES = {
    "stopped": "Start it by `appliance up`.",
    "fatal": "It ends as soon as it is started; its log says why.",
    "backoff": "It ended and is being started again; its log says why.",
}


def _box(directory: Path) -> list[Finding]:
    try:
        box = Box.open(directory)
        parts = box.status()
    except TrunklineError as error:
        return [Finding("box", error.message, error.remedy or "Start it by `appliance up`.")]
    findings: list[Finding] = []
    for name, part in parts.items():
        if part["ready"]:
            findings.append(Finding(name, "ready"))
        else:
            remedy = _REMEDIES.get(part["state"], "It runs and does not serve; its log says why.")
            seen = f"{part['state']} {part['problem']}".strip()
            findings.append(Finding(name, seen, f"{remedy} Log: {box.log_path(name)}"))
    return findings


def examine(directory: Path) -> list[Finding]:
    """Every finding, the good ones too: machine, set-up, parts."""
    cache = cache_directory()
    machine = checks.run(
        [
            checks.debian,
            checks.architecture,
            checks.administrator,
            lambda: checks.python(sys.version_info[:3]),
            checks.memory,
            lambda: checks.disk(cache, checks.DISK_BYTES_WARM),
        ]
    )
    installed = [
        Finding(step.name, "installed") if step.done() else Finding(step.name, "missing", "Run `make setup`.")
        for step in steps(cache)
    ]
    return [*machine, *installed, *_box(directory)]
