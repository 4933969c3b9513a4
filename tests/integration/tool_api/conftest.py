"""The real server over HTTP, and an organization for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from appliance.clients.tool_api import ToolApiClient
from provisioning.lite.box import Box
from tests.integration.tool_api.world import World, world


@pytest.fixture(scope="session")
def api_box(box: Box) -> Box:
    box.start("tool_api")
    return box


@pytest.fixture
def own(api_box: Box) -> Iterator[World]:
    with world(api_box) as made:
        yield made


@pytest.fixture
def other(api_box: Box) -> Iterator[World]:
    """A second organization, which must see and change nothing of the first."""
    with world(api_box) as made:
        yield made


@pytest_asyncio.fixture
async def service(api_box: Box) -> AsyncIterator[ToolApiClient]:
    """What the bridge has. A generous time limit: the machine may be busy, and nothing here is timed."""
    async with ToolApiClient.for_service(api_box.settings.tool_api, timeout_seconds=60) as client:
        yield client


@pytest_asyncio.fixture
async def http(api_box: Box) -> AsyncIterator[httpx.AsyncClient]:
    """A bare client, for what no client of ours would send."""
    async with httpx.AsyncClient(
        base_url=api_box.settings.tool_api.url, timeout=60, trust_env=False, verify=False
    ) as client:
        yield client
