"""The console as a part of the box."""

from __future__ import annotations

import sys

from provisioning.lite import probes
from provisioning.lite.part import Part

CONSOLE = Part(
    name="console",
    listens=("console",),
    needs=("postgres",),
    of_call_path=False,
    ready_seconds=300.0,
    command=lambda _site: [sys.executable, "-m", "console"],
    probe=lambda site: probes.http(f"http://127.0.0.1:{site.ports['console']}/health/ready"),
)
