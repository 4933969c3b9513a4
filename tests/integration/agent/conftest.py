"""A worker beside the box's own, with settings of the test's choice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from provisioning.lite.box import Box
from tests.fixtures.box import TEST_PORT

_FIRST_PORT = 600


@pytest.fixture
def start_worker(box: Box, tmp_path: Path) -> Iterator[Callable[[Mapping[str, Any]], str]]:
    """`name = start_worker({"language": {"base_url": ...}})`: a worker of that name until the test's end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(overrides: Mapping[str, Any]) -> str:
        tree: dict[str, Any] = yaml.safe_load(box.settings_file.read_text(encoding="utf-8"))
        port = TEST_PORT + _FIRST_PORT + len(processes)
        name = f"test-{uuid4().hex[:8]}"
        own = {"agent_name": name, "health_port": port, "prewarmed_processes": 1}
        for section, values in {"worker": own, **overrides}.items():
            tree.setdefault(section, {}).update(values)
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "runtime.agent"],
                env=os.environ | {"TRUNKLINE_SETTINGS": str(file)},
                stdout=log,
                stderr=log,
            )
        processes.append(process)
        deadline = time.monotonic() + 150
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2)
                return name
            assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
            assert time.monotonic() < deadline, "the worker does not become ready"
            time.sleep(0.2)

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        assert process.wait(20) == 0
