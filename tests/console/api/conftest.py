"""Programs with keys, and organizations that have a row of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from appliance.access.domain import RIGHTS_OF_ROLE, Actor, ActorKind, Right, Role
from appliance.organizations.api_keys import create_key
from appliance.organizations.domain import KeyInput, NewKey
from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant

ALL_RIGHTS = tuple(sorted(RIGHTS_OF_ROLE[Role.ADMIN]))
TIMEOUT_SECONDS = 30.0


def admin_of(organization_id: UUID) -> Actor:
    return Actor(ActorKind.MEMBER, "test-admin", "Test Admin", organization_id, RIGHTS_OF_ROLE[Role.ADMIN])


async def new_key(data: Data, organization_id: UUID, *scopes: Right, per_minute: int = 60_000) -> NewKey:
    wanted = KeyInput(name="test", scopes=scopes or ALL_RIGHTS, requests_per_minute=per_minute)
    async with data.work(organization_id) as uow:
        return await create_key(uow, admin_of(organization_id), wanted, datetime.now(UTC))


@pytest.fixture(scope="session")
async def data(console_box: Box) -> AsyncGenerator[Data]:
    async with Data.of(console_box.settings) as data:
        yield data


@pytest.fixture(scope="session")
def openapi(console_url: str) -> dict[str, object]:
    answer = httpx.get(f"{console_url}/api/v1/openapi.json", trust_env=False, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture
async def tenant(data: Data) -> AsyncGenerator[Tenant]:
    async with data.tenant() as tenant:
        yield tenant


@pytest.fixture
async def other(data: Data) -> AsyncGenerator[Tenant]:
    async with data.tenant() as tenant:
        yield tenant


@dataclass(frozen=True)
class Program:
    """A client with a key of its own."""

    http: httpx.AsyncClient
    key: NewKey
    organization_id: UUID


ProgramMaker = Callable[..., Awaitable[Program]]


@pytest.fixture
async def program(data: Data, console_url: str, tenant: Tenant) -> AsyncGenerator[ProgramMaker]:
    """`await program()` has every right, `await program(Right.CALLS_READ)` this one alone."""
    async with AsyncExitStack() as stack:

        async def make(
            *scopes: Right, organization_id: UUID | None = None, per_minute: int = 60_000
        ) -> Program:
            whose = organization_id or tenant.organization_id
            key = await new_key(data, whose, *scopes, per_minute=per_minute)
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"{console_url}/api/v1",
                    headers={"Authorization": f"Bearer {key.secret}"},
                    timeout=TIMEOUT_SECONDS,
                    trust_env=False,
                )
            )
            return Program(http, key, whose)

        yield make


@pytest.fixture(scope="module")
def probed_key(console_box: Box) -> Generator[str]:
    """The key of an organization that is probed by tests that are not asynchronous."""

    async def begin() -> tuple[UUID, str]:
        async with Data.of(console_box.settings) as data:
            stack = AsyncExitStack()
            tenant = await stack.enter_async_context(data.tenant())
            stack.pop_all()  # it outlives this loop; `end` deletes it
            return tenant.organization_id, (await new_key(data, tenant.organization_id)).secret

    async def end(organization_id: UUID) -> None:
        from sqlalchemy import delete

        from appliance.organizations.tables import Organization

        async with Data.of(console_box.settings) as data, data.work(organization_id) as uow:
            await uow.session.execute(delete(Organization).where(Organization.id == organization_id))

    organization_id, secret = _run(begin())
    yield secret
    _run(end(organization_id))


def _run(work):
    """In a thread: the test session has a loop of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
