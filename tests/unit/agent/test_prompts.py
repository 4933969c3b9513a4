"""The system prompt: the agent's own words first, the changing lines last."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from appliance.agents.domain import AgentSnapshot
from appliance.calls.domain import CallContext
from runtime.agent.prompts import system_prompt


def _context(caller: str) -> CallContext:
    return CallContext(
        call_id=uuid4(),
        organization_id=uuid4(),
        agent_version_id=uuid4(),
        direction="inbound",
        caller=caller,
        called="+4930555010",
        started_at=datetime(2026, 11, 21, 23, 30, tzinfo=UTC),
        timezone="Europe/Berlin",
        snapshot=AgentSnapshot(name="Reception", prompt="You are the receptionist.\n", greeting="Hello."),
        tools=(),
    )


def test_it_tells_the_date_of_the_organizations_zone() -> None:
    prompt = system_prompt(_context("+4930123"), datetime(2026, 11, 21, 23, 30, tzinfo=UTC))
    lines = prompt.splitlines()
    assert lines[0] == "You are the receptionist."
    assert "Time zone: Europe/Berlin" in lines
    assert "Date: 2026-11-22 (Sunday)" in lines
    assert "Time: 00:30" in lines
    assert lines[-1] == "Caller number: +4930123"


def test_two_calls_share_everything_but_the_last_lines() -> None:
    first = system_prompt(_context("+4930123"), datetime(2026, 11, 21, 10, 0, tzinfo=UTC)).splitlines()
    second = system_prompt(_context(""), datetime(2026, 11, 22, 11, 0, tzinfo=UTC)).splitlines()
    shared = first.index("Time zone: Europe/Berlin") + 1
    assert first[:shared] == second[:shared]
    assert not any("Caller number" in line for line in second)
