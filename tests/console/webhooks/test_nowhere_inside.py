"""Nothing that a member types in leads a delivery into the box or its network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from appliance.clients.outbound_http import OutboundHttp
from appliance.errors import NotAllowed, TrunklineError
from appliance.webhooks.tables import WebhookDelivery
from provisioning.lite.box import Box
from tests.console.api.conftest import ProgramMaker
from tests.console.api.receiver import receiver
from tests.console.webhooks.jobs_worker import jobs_worker, until
from tests.console.webhooks.listeners import Listen
from tests.integration.database.world import Data, Tenant


async def test_no_delivery_is_led_into_the_box(
    console_box: Box, data: Data, tenant: Tenant, program: ProgramMaker, listen: Listen, tmp_path: Path
) -> None:
    """A redirect is not followed; what means the box, however it is written, is not asked."""
    mine = await program()
    inside = (
        *("http://127.0.0.1:{port}/events", "http://localhost:{port}/events", "http://[::1]:{port}/events"),
        *("http://[::ffff:127.0.0.1]:{port}/events", "http://2130706433:{port}/events"),
        *(
            "http://0.0.0.0:{port}/events",
            "http://127.1:{port}/events",
            "http://[::ffff:7f00:1]:{port}/events",
        ),
        *("https://169.254.169.254/latest/meta-data", "http://0x7f000001:{port}/events"),
    )
    async with jobs_worker(console_box, tmp_path, outbound={"allowed_networks": []}):
        far = await listen(mine, "booking.made")
        for url in inside:
            body = {"url": url.format(port=far.port), "events": ["quota.near"]}
            made = await mine.http.post("/webhooks", json=body)
            assert made.status_code == 201, made.text
            await mine.http.post(f"/webhooks/{made.json()['endpoint']['id']}/test")

        async def all_tried() -> bool:
            async with data.work(tenant.organization_id) as uow:
                tries = await uow.session.scalars(select(WebhookDelivery.tries))
                return all(count >= 1 for count in tries)

        await until(all_tried)
        assert far.tries == 0


def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server that says something else each time; returns what it was asked."""
    asked: list[str] = []
    remaining = list(answers)

    async def look_up(_self: Any, host: str, port: int, **_more: Any) -> list[Any]:
        asked.append(host)
        found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (families[ipaddress.ip_address(each).version], socket.SOCK_STREAM, 6, "", (each, port))
            for each in found
        ]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", look_up)
    return asked


async def test_a_name_that_means_something_else_a_moment_later_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection goes to the address that was checked: a second answer is never asked for."""
    async with receiver() as far:
        asked = resolver(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
        checked_one_alone = OutboundHttp.of(["192.0.2.0/24"])
        url = f"http://rebinding.example:{far.port}/hook"
        with pytest.raises(TrunklineError):
            await checked_one_alone.send("POST", url, content=b"{}", timeout_seconds=2)
        assert asked == ["rebinding.example"]
        assert far.received == []


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1"]
)
async def test_one_address_inside_spoils_the_name(monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    resolver(monkeypatch, ["1.1.1.1", inside])
    with pytest.raises(NotAllowed):
        await OutboundHttp().send("POST", "https://mixed.example/", content=b"{}", timeout_seconds=5)
