"""What the tests of the console stand on: a running console, browsers' clients and members signed in at will.

`console` serves over a real socket. `sign_in` makes a session row directly, so that a test of pages or of the
API needs no Keycloak; the tests of the sign-in itself have a real one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access import sessions
from appliance.access.domain import ActorKind, Role
from appliance.access.sessions import Limits, Member
from appliance.database.engine import create_engine
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.settings import Settings
from console.web.cookies import SESSION, Cookies
from provisioning.lite.box import Box
from tests.console.microphone import speaking_browser
from tests.console.people import keycloak_box, person, realm

__all__ = ["SignIn", "SignedIn", "form_token", "keycloak_box", "person", "realm", "speaking_browser"]

LIMITS = Limits(idle=timedelta(minutes=30), absolute=timedelta(hours=12))
TIMEOUT_SECONDS = 30.0


@pytest.fixture(scope="session")
def console_box(box: Box) -> Box:
    """The box with its console (and the database that it needs) running."""
    box.start("console")
    return box


@pytest.fixture(scope="session")
def console_url(console_box: Box) -> str:
    return console_box.settings.console.url


@pytest.fixture(scope="session")
async def app_engine(console_box: Box) -> AsyncGenerator[AsyncEngine]:
    engine = create_engine(console_box.settings.database, "app")
    yield engine
    await engine.dispose()


@dataclass(frozen=True)
class SignedIn:
    """A member with a session: `client` is a browser's, `csrf` what its forms carry."""

    client: httpx.AsyncClient
    member: Member
    organization_id: UUID | None
    secret: str
    cookie_name: str
    csrf: str

    async def post_form(self, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
        """A form of a page: with the session's token."""
        return await self.client.post(path, data={"_csrf": self.csrf, **(fields or {})})

    def script_headers(self) -> dict[str, str]:
        """What a script of a page sends with a change."""
        return {"x-csrf-token": self.csrf, "accept": "application/json"}


class SignIn:
    """`await sign_in(Role.ADMIN)`, `await sign_in(Role.LISTENER, organization_id=other)`, `operator=True`."""

    def __init__(self, settings: Settings, engine: AsyncEngine, organization_id: UUID) -> None:
        self._settings = settings
        self._engine = engine
        self._organization_id = organization_id
        self._cookies = Cookies(settings.console.cookie_key.reveal(), secure=settings.console.secure)
        self._clients: list[httpx.AsyncClient] = []

    async def __call__(
        self,
        *roles: Role,
        organization_id: UUID | None = None,
        organizations: dict[UUID, frozenset[Role]] | None = None,
        operator: bool = False,
        name: str = "Test Member",
        member_id: str | None = None,
        authenticated_at: datetime | None = None,
        limits: Limits = LIMITS,
        kind: ActorKind = ActorKind.MEMBER,
    ) -> SignedIn:
        if organizations is None:
            organizations = {organization_id or self._organization_id: frozenset(roles)} if roles else {}
        member = Member(
            id=member_id or str(uuid7()),
            name=name,
            email="member@example.org",
            organizations=organizations,
            operator=operator,
            kind=kind,
        )
        async with UnitOfWork(self._engine, None) as uow:
            session, secret = await sessions.begin(
                uow,
                member,
                limits,
                authenticated_at=authenticated_at or datetime.now(UTC),
                organization_id=organization_id,
                identity_session=f"test-{uuid7()}",
                address="127.0.0.1",
            )
        cookie = self._cookies.name(SESSION)
        client = httpx.AsyncClient(
            base_url=self._settings.console.url,
            cookies={cookie: secret},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            follow_redirects=False,
            headers={"accept": "text/html"},
        )
        self._clients.append(client)
        return SignedIn(
            client, member, session.organization_id, secret, cookie, self._cookies.form_token(secret)
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def sign_in(console_box: Box, app_engine: AsyncEngine) -> AsyncGenerator[SignIn]:
    maker = SignIn(console_box.settings, app_engine, console_box.seed.organization_id)
    yield maker
    await maker.close()


@pytest.fixture
async def anonymous(console_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A browser that nobody signed in with."""
    async with httpx.AsyncClient(
        base_url=console_url, timeout=TIMEOUT_SECONDS, trust_env=False, headers={"accept": "text/html"}
    ) as client:
        yield client


@pytest.fixture
def work(app_engine: AsyncEngine, console_box: Box) -> Callable[..., UnitOfWork]:
    """`async with work() as uow:` in the seeded organization, `work(None)` for the box."""

    def make(organization_id: UUID | str | None = "seeded") -> UnitOfWork:
        chosen = console_box.seed.organization_id if organization_id == "seeded" else organization_id
        assert chosen is None or isinstance(chosen, UUID)
        return UnitOfWork(app_engine, chosen)

    return make


def form_token(html: str) -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', html)
    assert found is not None, "the page has no form token"
    return found.group(1)
