"""The bridge with real Asterisk, LiveKit and tool API, and agents of the test instead of the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from provisioning.lite.box import Box
from tests.integration.bridge.room_agent import Agents, until


@pytest.fixture
async def agents(box: Box) -> AsyncIterator[Agents]:
    # The worker of another test would come to these calls too, and be ready where this agent is not.
    await asyncio.to_thread(box.stop, "worker")
    # Beside the loop, in which a test may have the line between bridge and Asterisk.
    await asyncio.to_thread(box.start, "bridge")
    async with Agents(box) as agents:
        yield agents
    await nothing_is_left(box)


def bridge_state(box: Box) -> dict[str, Any]:
    """What the bridge says it holds."""
    token = box.settings.tool_api.service_token.reveal()
    answer = httpx.get(
        f"http://127.0.0.1:{box.settings.bridge.health_port}/calls",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    answer.raise_for_status()
    return answer.json()


def ari(box: Box, path: str) -> Any:
    """A look into Asterisk."""
    gateway = box.settings.gateway
    answer = httpx.get(
        f"{gateway.ari_url}/ari{path}",
        auth=(gateway.ari_user, gateway.ari_password.reveal()),
        trust_env=False,
    )
    answer.raise_for_status()
    return answer.json()


async def nothing_is_left(box: Box) -> None:
    """No channel, bridge, connection, room or unreported end, on either side."""

    def looks() -> dict[str, Any]:
        state = bridge_state(box)
        return {
            "calls": state["calls"],
            "channels of the bridge": state["channels"],
            "bridges of the bridge": state["bridges"],
            "connections": state["audiosocket_connections"],
            "reports": state["reports_waiting"],
            "channels": [channel["name"] for channel in ari(box, "/channels")],
            "bridges": [bridge["id"] for bridge in ari(box, "/bridges")],
        }

    try:
        await until(lambda: asyncio.to_thread(lambda: not any(looks().values())), timeout=40)
    except TimeoutError:
        pytest.fail(f"something is left: {looks()}")
    async with Agents(box) as watcher:
        names: Callable[[], Any] = watcher.rooms

        async def no_rooms() -> bool:
            return not await names()

        # An agent that entered while its room was deleted keeps it alive until the bridge has looked twice.
        await until(no_rooms, timeout=120)
