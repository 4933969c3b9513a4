"""Calls that the box places: answered and refused; and the loopback interface that asks for them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import CallRecords
from tests.integration.bridge.room_agent import Agents, until
from tests.integration.bridge.test_transfers import human


async def ask(box: Box, token: str | None = None, **changes: Any) -> httpx.Response:
    """Asks the bridge for a call to 201 over the lab trunk."""
    wanted = {
        "organization_id": str(box.seed.organization_id),
        "agent_id": str(box.seed.agent_id),
        "to": "201",
        "trunk_id": str(box.seed.trunk_id),
    }
    token = token or box.settings.tool_api.service_token.reveal()
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.post(
            f"http://127.0.0.1:{box.settings.bridge.health_port}/calls/outbound",
            json=wanted | changes,
            headers={"Authorization": f"Bearer {token}"},
        )


async def ended(box: Box, call_id: str) -> dict[str, Any]:
    async with CallRecords(box.settings, box.seed.organization_id) as records:

        async def row() -> dict[str, Any] | None:
            rows = await records.rows("SELECT * FROM calls WHERE id = %s", call_id)
            return rows[0] if rows and rows[0]["ended_at"] else None

        return await until(row)


async def test_who_answers_speaks_with_the_agent(box: Box, agents: Agents) -> None:
    async with human(box) as telephone:
        answer = await ask(box)
        assert answer.status_code == 202, answer.text
        leg = await telephone.next_call()
        # The agent is called while the telephone rings.
        agent = await agents.number(1)
        assert agent.statuses in ([], ["ringing"])
        await leg.answer()
        await agent.active()
        assert agent.caller_attributes["sip.phoneNumber"].endswith("201")
        said = await leg.speak("hello, who is there")
        await leg.hears_speech(since_ns=said.first_speech_ns)
        await agent.rpc("trunkline.hangup", {"reason": "done"})
        await leg.ended()
        row = await ended(box, answer.json()["call_id"])
        assert row["answered_at"] is not None
        assert row["direction"] == "outbound"


@pytest.mark.parametrize(("status", "cause"), [(486, 17), (404, 1), (603, 21)])
async def test_a_refusal_ends_the_call_with_its_cause(
    box: Box, agents: Agents, status: int, cause: int
) -> None:
    async with human(box) as telephone:
        telephone.refuse_with = status
        answer = await ask(box)
        row = await ended(box, answer.json()["call_id"])
        assert row["answered_at"] is None
        assert row["q850_cause"] == cause


async def test_who_has_no_token_places_no_call(box: Box, agents: Agents) -> None:
    assert (await ask(box, token="wrong")).status_code == 403
    answer = await ask(box, to=17)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
