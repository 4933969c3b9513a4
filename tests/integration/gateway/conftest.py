"""A gateway of its own for these tests, without the rest of the box: Asterisk, its sentences, its trunks."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from appliance.settings import Settings
from appliance.telephony.domain import Credentials, GatewayConfiguration, Number, Trunk
from provisioning.lite import sentences
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import write_settings
from runtime.sip.ari import AriClient
from runtime.sip.gateway import GatewayConfigurator
from tests.fixtures.asterisk import ARI_LOGIN, RunningAsterisk, asterisk_plan, fresh_directory
from tests.fixtures.box import TEST_PORT
from tests.fixtures.pbx import CompanyPbx, GatewayPeer

GATEWAY_BASE = TEST_PORT + 500
PBX_BASE = TEST_PORT + 600
PBX_ADDRESS = "127.0.0.2"
ORGANIZATION = UUID(int=100)
ACCOUNT = Credentials(username="desk-phone", password="p;w\\;[x] \"'")

LAB = Trunk(
    id=UUID(int=1),
    organization_id=ORGANIZATION,
    name="lab",
    match=("127.0.0.1",),
    codecs=("ulaw", "alaw", "g722", "opus"),
)
PHONE = Trunk(id=UUID(int=2), organization_id=ORGANIZATION, name="phone", inbound_auth=ACCOUNT)
COMPANY = Trunk(
    id=UUID(int=3),
    organization_id=ORGANIZATION,
    name="company",
    host=PBX_ADDRESS,
    port=PBX_BASE,
    match=(PBX_ADDRESS,),
    qualify_seconds=2,
)
NUMBER = Number(number="+4930555010")
WITH_OVERFLOW = Number(number="+4930555011", overflow="sip:900@192.0.2.9:5070")


def world(*trunks: Trunk, numbers: tuple[Number, ...] = (NUMBER, WITH_OVERFLOW)) -> GatewayConfiguration:
    """What the tool API would tell the bridge."""
    return GatewayConfiguration(revision="test", trunks=trunks, numbers=numbers, capacity=10)


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 40) -> None:
    """Waits until the condition holds; fails with `what` otherwise."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert asyncio.get_running_loop().time() < deadline, f"did not come true: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    directory = fresh_directory("gateway")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def gateway(place: Path) -> Iterator[RunningAsterisk]:
    """Our gateway; its trunks are what a test last applied."""
    plan = asterisk_plan(place / "gateway", GATEWAY_BASE)
    sentences.render(plan.sentences_dir, ("en",))
    asterisk = RunningAsterisk(plan)
    asterisk.start()
    yield asterisk
    asterisk.stop()


@pytest.fixture(scope="session")
def pbx(place: Path, gateway: RunningAsterisk) -> Iterator[CompanyPbx]:
    """The company's PBX on an address of its own, which trusts the gateway's certificate authority."""
    plan = asterisk_plan(place / "pbx", PBX_BASE, address=PBX_ADDRESS)
    pbx = CompanyPbx(plan, GatewayPeer("127.0.0.1", GATEWAY_BASE, GATEWAY_BASE + 1))
    pbx.trust(gateway.plan.directory / "tls" / "ca.crt")
    pbx.start()
    yield pbx
    pbx.stop()


@pytest.fixture(scope="session")
def settings(place: Path, gateway: RunningAsterisk) -> Settings:
    """The bridge's settings for this gateway."""
    plan = gateway.plan
    secret = place / "ari-password"
    secret.write_text(ARI_LOGIN[1], encoding="utf-8")
    overrides = {
        "gateway": {
            "ari_url": f"http://127.0.0.1:{plan.ari_port}",
            "ari_user": plan.ari_user,
            "ari_password": {"file": str(secret)},
            "config_dir": str(plan.trunks_dir),
            "trunk_poll_seconds": 0.2,
        }
    }
    return write_settings(place / "settings", Ports(TEST_PORT), overrides)


@pytest.fixture
async def ari(settings: Settings) -> AsyncIterator[AriClient]:
    async with AriClient(settings.gateway) as client:
        yield client


Apply = Callable[..., Awaitable[None]]


@pytest.fixture
async def apply(settings: Settings, ari: AriClient) -> Apply:
    """`await apply(LAB, PHONE)` makes exactly these trunks the gateway's."""
    configurator = GatewayConfigurator(settings, ari)

    async def apply(*trunks: Trunk, numbers: tuple[Number, ...] = (NUMBER, WITH_OVERFLOW)) -> None:
        await configurator.show_health(accepting=True)
        await configurator.apply(world(*trunks, numbers=numbers))

    return apply


class StandInBridge:
    """Connects as the bridge does and hands on what arrives in Stasis; the tests say what becomes of it."""

    def __init__(self, ari: AriClient) -> None:
        self.ari = ari
        self.connected = asyncio.Event()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=1000)

    async def run(self) -> None:
        async def on_connected() -> None:
            self.connected.set()

        await self.ari.run_events(
            self._events.put_nowait, on_connected=on_connected, on_lost=self.connected.clear
        )

    async def next_start(self) -> dict[str, Any]:
        """The next StasisStart."""
        return await self.next_event("StasisStart")

    async def next_event(self, kind: str, seconds: float = 20) -> dict[str, Any]:
        """The next event of that type; what came before it is forgotten."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self._events.get()
                if event["type"] == kind:
                    return event


@pytest.fixture
async def bridge(gateway: RunningAsterisk, ari: AriClient) -> AsyncIterator[StandInBridge]:
    stand_in = StandInBridge(ari)
    task = asyncio.create_task(stand_in.run())
    async with asyncio.timeout(20):
        await stand_in.connected.wait()
    yield stand_in
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def number_at_gateway(number: str = "4930555010") -> str:
    return f"sip:{number}@127.0.0.1:{GATEWAY_BASE}"
