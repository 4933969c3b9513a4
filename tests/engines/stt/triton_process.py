"""`python -m models.triton` as a process of its own, with the settings and the manifest of a small box."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from appliance.clients.speech import SpeechToText
from models.manifest import Manifest, add, load_catalog, save_manifest
from provisioning.lite.cache import cache_directory
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import write_settings

ROOT = Path(__file__).resolve().parents[3]
RECOGNISER = ROOT / "tests" / "models" / "recogniser" / "recogniser.nemo"
ENGINES = cache_directory() / "engines"
START_SECONDS = 290


@dataclass
class TritonProcess:
    """One Triton with the recogniser. `folder` holds its settings, manifest, repository and log."""

    folder: Path
    port_base: int
    max_streams: int = 8
    weights: Path = RECOGNISER
    memory_bytes: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{Ports(self.port_base)['triton']}"

    @property
    def manifest(self) -> Path:
        return self.folder / "models" / "manifest.yaml"

    @property
    def log(self) -> str:
        return (self.folder / "triton.log").read_text(encoding="utf-8", errors="replace")

    def prepare(self) -> None:
        """Adds the weights to a manifest and writes the settings."""
        profile = load_catalog()["demo-recogniser"]
        save_manifest(
            self.manifest, add(Manifest(), profile, self.weights, now=datetime(2026, 1, 1, tzinfo=UTC))
        )
        write_settings(
            self.folder,
            Ports(self.port_base),
            {"speech": {"max_streams": self.max_streams}},
            engines="real",
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "models.triton"]
        if self.memory_bytes is not None:
            command = ["prlimit", f"--data={self.memory_bytes}", *command]
        with (self.folder / "triton.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ
                | {
                    "TRUNKLINE_SETTINGS": str(self.folder / "settings.yaml"),
                    "TRUNKLINE_ENGINES": str(ENGINES),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        """AssertionError with the end of the log when it ends or takes too long."""
        asyncio.run(self._ready())

    async def _ready(self) -> None:
        client = SpeechToText(self.address)
        deadline = time.monotonic() + START_SECONDS
        try:
            while not await client.ready():
                assert self.process is not None
                assert self.process.poll() is None, self.log[-3_000:]
                assert time.monotonic() < deadline, self.log[-3_000:]
                await asyncio.sleep(0.3)
        finally:
            await client.close()

    def tree(self) -> list[psutil.Process]:
        """The process itself, tritonserver and the python backend's interpreter."""
        assert self.process is not None
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def server(self) -> psutil.Process:
        return next(process for process in self.tree() if process.name() == "tritonserver")

    def stop(self) -> int | None:
        """Ends it in order; whatever is left after that is killed. The exit code."""
        if self.process is None:
            return None
        left = self.tree() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for process in left:
            if process.is_running() and process.pid != self.process.pid:
                process.kill()
        return self.process.wait(30)
