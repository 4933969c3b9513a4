"""A worker beside the box's own: its language engine is the test's, and its voice comes through a relay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from provisioning.lite.box import Box
from tests.fixtures.box import TEST_PORT
from tests.fixtures.relay import Relay
from tests.integration.agent.faulty_language import FaultyLanguage

_HEALTH_PORT = TEST_PORT + 600


@pytest.fixture(scope="module")
async def voice_line(box: Box) -> AsyncIterator[Relay]:
    """What lies between the worker and the voice."""
    async with Relay(box.ports["speech"]) as line:
        yield line


@pytest.fixture(scope="module")
async def language() -> AsyncIterator[FaultyLanguage]:
    """The worker's language engine; each test gives it a script."""
    async with FaultyLanguage([]) as server:
        yield server


@pytest.fixture(scope="module")
async def worker(
    box: Box, language: FaultyLanguage, voice_line: Relay, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The name of a worker that all tests of the module share."""
    await asyncio.to_thread(box.start, "speech", "tool_api", "livekit")
    name = f"test-{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp(name)
    overrides: dict[str, dict[str, Any]] = {
        "worker": {"agent_name": name, "health_port": _HEALTH_PORT, "prewarmed_processes": 1},
        "language": {
            "base_url": language.url,
            "fallback_base_url": None,
            "first_token_timeout_seconds": 6.0,
        },
        # A busy machine may recognise slowly: what is tried here is the voice and the language engine.
        "speech": {"tts_address": f"127.0.0.1:{voice_line.port}", "result_timeout_seconds": 20.0},
    }
    tree: dict[str, Any] = yaml.safe_load(box.settings_file.read_text(encoding="utf-8"))
    for section, values in overrides.items():
        tree.setdefault(section, {}).update(values)
    (folder / "settings.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.agent"],
            env=os.environ | {"TRUNKLINE_SETTINGS": str(folder / "settings.yaml")},
            stdout=log,
            stderr=log,
        )
    try:
        await asyncio.to_thread(_until_ready, process, folder / "log")
        yield name
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 30)
    assert code == 0


def _until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{_HEALTH_PORT}/health/ready", timeout=2)
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "the worker does not become ready"
        time.sleep(0.2)
