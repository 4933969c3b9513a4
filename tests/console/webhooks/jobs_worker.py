"""A jobs worker of a test: a real process on the box's database, with settings that the test chooses."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box

PATIENCE_SECONDS = 60.0
REPOSITORY = Path(__file__).resolve().parents[3]
_Found = TypeVar("_Found")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(look: Callable[[], Awaitable[_Found]], what: str = "it") -> _Found:
    """What `look` sees, once that is something."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await look()):  # noqa: ASYNC110 - what is waited for lies in a database
            await asyncio.sleep(0.1)
    return found


@asynccontextmanager
async def jobs_worker(
    box: Box, directory: Path, *, bridge_port: int | None = None, **overrides: Any
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """It may reach the loopback, where the receivers of the tests are; the box's own worker stands still."""
    ran = "jobs" in box.running()
    await asyncio.to_thread(box.stop, "jobs")
    tree = yaml.safe_load(box.settings_file.read_text(encoding="utf-8"))
    port = free_port()
    tree |= {"jobs": tree.get("jobs", {}) | {"health_port": port}}
    tree |= {"outbound": {"allowed_networks": ["127.0.0.0/8"]}} | overrides
    if bridge_port is not None:
        tree["bridge"] = tree.get("bridge", {}) | {"health_port": bridge_port}
    settings = directory / "jobs.yaml"
    settings.write_text(yaml.safe_dump(tree), encoding="utf-8")
    environment = {**os.environ, SETTINGS_VARIABLE: str(settings)}
    with (directory / "jobs.log").open("wb") as log:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime.jobs", cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )
    try:

        async def answers() -> bool:
            assert worker.returncode is None, (directory / "jobs.log").read_text()[-2000:]
            try:
                async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                    return (await http.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
            except httpx.HTTPError:
                return False

        await until(answers)
        yield worker
    finally:
        if worker.returncode is None:
            worker.send_signal(signal.SIGTERM)
        await asyncio.wait_for(worker.wait(), PATIENCE_SECONDS)
        if ran:
            await asyncio.to_thread(box.start, "jobs")
