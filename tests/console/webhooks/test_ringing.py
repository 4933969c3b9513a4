"""An incoming webhook that makes a telephone ring."""

from __future__ import annotations

import asyncio
from typing import Any

from provisioning.caller import SipCaller
from provisioning.lite.box import Box
from tests.console.api.conftest import ProgramMaker
from tests.console.webhooks.jobs_worker import until
from tests.console.webhooks.senders import MISSED, caller, in_state

LAB_PORT_AFTER_SIP_PORT = 10
"""Where the telephone of the lab trunk is, behind the gateway's port."""


async def test_a_telephone_rings(console_box: Box, program: ProgramMaker, console_url: str) -> None:
    """The whole way: HTTP, the box's own jobs worker, bridge and gateway, a SIP telephone."""
    await asyncio.to_thread(console_box.start, "bridge", "jobs")
    mine = await program(organization_id=console_box.seed.organization_id)
    local_port = console_box.ports["asterisk"] + LAB_PORT_AFTER_SIP_PORT
    async with SipCaller(local_port=local_port) as lab:
        lab.refuse_with = 486
        sender = await caller(mine, console_url, console_box.seed.agent_id)
        try:
            request = (await sender.send(MISSED | {"customer": {"phone": "201"}})).json()["request_id"]
            shown = await in_state(mine, request, "called", "failed")
            assert shown["state"] == "called", shown

            async def busy() -> dict[str, Any] | None:
                call = (await mine.http.get(f"/calls/{shown['call_id']}")).json()
                return call if call["ended_at"] else None

            call = await until(busy)
            assert (call["direction"], call["called"]) == ("outbound", "201")
            assert call["q850_cause"] == 17, "the telephone said that it is busy"
        finally:
            await mine.http.delete(f"/hooks/{sender.hook['hook']['id']}", headers={"If-Match": "*"})
