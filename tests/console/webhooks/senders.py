"""A program of somebody else that sends to an organization's path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from standardwebhooks import Webhook

from tests.console.api.conftest import Program
from tests.console.webhooks.jobs_worker import until

TIMEOUT_SECONDS = 30.0
CALL_RULE = {
    "name": "Missed",
    "when": "body.event == 'appointment.missed'",
    "action": "call",
    "to": "body.customer.phone",
}
FILE_RULE = {"name": "The rest", "action": "file", "title": "body.subject"}
MISSED = {"event": "appointment.missed", "customer": {"phone": "+49 30 555010"}}


@dataclass(frozen=True)
class Sender:
    """`hook` is what the creation answered: the path and the secret."""

    console_url: str
    hook: dict[str, Any]

    @property
    def url(self) -> str:
        return self.console_url + self.hook["hook"]["path"]

    def signed(self, body: bytes, delivery: str, at: datetime | None = None) -> dict[str, str]:
        when = at or datetime.now(UTC)
        return {
            "webhook-id": delivery,
            "webhook-timestamp": str(int(when.timestamp())),
            "webhook-signature": Webhook(self.hook["secret"]).sign(delivery, when, body.decode()),
            "content-type": "application/json",
        }

    async def send(
        self, content: Any, *, delivery: str | None = None, at: datetime | None = None
    ) -> httpx.Response:
        """Signed as Standard Webhooks says."""
        body = json.dumps(content).encode()
        return await self.post(body, self.signed(body, delivery or str(uuid4()), at))

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
            return await http.post(self.url, content=body, headers=headers or {})


async def caller(program: Program, url: str, agent_id: UUID, **rule: Any) -> Sender:
    """A path whose one rule lets the agent call."""
    rules = [{**CALL_RULE, "agent_id": str(agent_id), **rule}]
    made = await program.http.post("/hooks", json={"name": "Customers", "rules": rules})
    assert made.status_code == 201, made.text
    return Sender(url, made.json())


async def in_state(program: Program, request_id: str, *states: str) -> dict[str, Any]:
    """The request, once it has come to one of the states."""

    async def look() -> dict[str, Any] | None:
        shown = (await program.http.get(f"/hook-requests/{request_id}")).json()
        return shown if shown["state"] in states else None

    return await until(look, f"{request_id} {states}")


async def make(program: Program, url: str, **wanted: Any) -> Sender:
    """A path of the program's organization, with one rule that files."""
    made = await program.http.post("/hooks", json={"name": "Customers", "rules": [FILE_RULE], **wanted})
    assert made.status_code == 201, made.text
    return Sender(url, made.json())


async def requests_of(program: Program, sender: Sender, query: str = "") -> list[dict[str, Any]]:
    """What was sent to it, the newest first."""
    listed = await program.http.get(f"/hooks/{sender.hook['hook']['id']}/requests{query}")
    assert listed.status_code == 200
    return listed.json()["items"]
