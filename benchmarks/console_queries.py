"""How quick the lists and details of the API are with very many calls, and by which plans.

    python -m benchmarks.console_queries [--calls 1000000] [--requests 100] [--directory var/bench-console]

Makes a box of its own with a database and a console, generates the calls (20 segments and 10 turns each),
asks the API over HTTP, and keeps p50/p95/p99 and the plans of the statements. A directory that has as many
calls already is used as it is. A million calls take about 16 GB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import event, select, text

from appliance.access.domain import RIGHTS_OF_ROLE, Actor, ActorKind, Role
from appliance.agents.tables import Agent
from appliance.calls import archive
from appliance.calls.archive_domain import CallFilter
from appliance.calls.tables import Call
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.api_keys import create_key
from appliance.organizations.domain import KeyInput
from benchmarks.call_world import OFTEN, SEGMENTS_OF_A_CALL, SELDOM, generate
from benchmarks.results import machine, save, spread
from provisioning.lite.box import Box

PORT_BASE = 34_400
AIM_P95_MS = 100
WARM_UP = 5
_MOST_PLANS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100, help="of each kind")
    parser.add_argument("--directory", type=Path, default=Path("var/bench-console"))
    parser.add_argument("--port-base", type=int, default=PORT_BASE)
    given = parser.parse_args()
    box = Box(given.directory, given.port_base)
    try:
        box.start("console")
        organization = _organization(box, given.directory, given.calls)
        print(save("console-queries", asyncio.run(measure(box, organization, given.calls, given.requests))))
    finally:
        box.stop_all()


def _organization(box: Box, directory: Path, calls: int) -> UUID:
    mark = directory / "generated.json"
    if mark.exists():
        known = json.loads(mark.read_text(encoding="utf-8"))
        if known["calls"] == calls:
            return UUID(known["organization"])
    made = generate(box, calls, lambda line: print(line, file=sys.stderr, flush=True))
    mark.write_text(json.dumps({"calls": calls, "organization": str(made)}) + "\n", encoding="utf-8")
    return made


async def measure(box: Box, organization: UUID, calls: int, requests: int) -> dict[str, Any]:
    """The figures of each kind of request, and the plans of the statements behind it."""
    engine = create_engine(box.settings.database, "app")
    actor = Actor(ActorKind.SYSTEM, "bench", "bench", organization, RIGHTS_OF_ROLE[Role.ADMIN])
    try:
        async with UnitOfWork(engine, organization) as uow:
            wanted = KeyInput(name="bench", scopes=tuple(sorted(actor.rights)), requests_per_minute=60_000)
            key = (await create_key(uow, actor, wanted, datetime.now(UTC))).secret
            ids = list(await uow.session.scalars(select(Call.id).order_by(Call.created_at).limit(20_000)))
            agents = list(await uow.session.scalars(select(Agent.id)))
            sample = list(
                await uow.session.execute(
                    select(Call.caller, Call.created_at).order_by(Call.id).limit(20_000)
                )
            )
        dice = random.Random(7)
        kinds = _kinds(dice, ids, agents, [(row.caller or "", row.created_at) for row in sample])
        figures: dict[str, Any] = {}
        async with httpx.AsyncClient(
            base_url=f"{box.settings.console.url}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ) as http:
            deep = await _deep_cursor(http)
            for name, make in kinds.items():
                took: list[float] = []
                for index in range(WARM_UP + requests):
                    path, query = make()
                    if name == "calls, deep in the list":
                        query = {"cursor": deep}
                    began = time.perf_counter()
                    answer = await http.get(path, params=query)
                    if index >= WARM_UP:
                        took.append((time.perf_counter() - began) * 1000)
                    answer.raise_for_status()
                figures[name] = spread(took)
                print(name, figures[name], file=sys.stderr, flush=True)
        plans = await _plans(engine, organization, actor, ids[0], agents[-1], sample[0].caller or "")
        async with UnitOfWork(engine, organization) as uow:
            size = await uow.session.scalar(text("SELECT pg_database_size(current_database())"))
    finally:
        await engine.dispose()
    slow = [name for name, found in figures.items() if found and found["p95"] >= AIM_P95_MS]
    return {
        "calls": calls,
        "segments": calls * SEGMENTS_OF_A_CALL,
        "database_gib": round((size or 0) / 2**30, 2),
        "aim_p95_ms": AIM_P95_MS,
        "over_the_aim": slow,
        "machine": machine(),
        "milliseconds": figures,
        "plans": plans,
    }


def _kinds(
    dice: random.Random, ids: list[UUID], agents: list[UUID], sample: list[tuple[str, datetime]]
) -> Any:
    def day() -> dict[str, str]:
        begins = dice.choice(sample)[1]
        return {"since": begins.isoformat(), "until": (begins + timedelta(days=1)).isoformat()}

    return {
        "calls, the newest": lambda: ("/calls", {}),
        "calls, deep in the list": lambda: ("/calls", {}),
        "calls of a day": lambda: ("/calls", day()),
        "calls, failed": lambda: ("/calls", {"outcome": "failed"}),
        "calls of an agent": lambda: ("/calls", {"agent_id": str(dice.choice(agents))}),
        "calls, slow ones": lambda: ("/calls", {"min_latency_ms": str(dice.choice([3300, 2500, 1000]))}),
        "calls, end of a number": lambda: ("/calls", {"number": dice.choice(sample)[0][-7:]}),
        "calls, the own number": lambda: ("/calls", {"number": "+4930555010"}),
        "calls, a word of most": lambda: ("/calls", {"text": OFTEN}),
        "calls, a word of few": lambda: ("/calls", {"text": SELDOM}),
        "calls, two words": lambda: ("/calls", {"text": f"word{dice.randrange(50, 5000)} tuesday"}),
        "calls, a word of none": lambda: ("/calls", {"text": "nowhere"}),
        "one call": lambda: (f"/calls/{dice.choice(ids)}", {}),
        "agents": lambda: ("/agents", {}),
        "one agent": lambda: (f"/agents/{dice.choice(agents)}", {}),
        "versions of an agent": lambda: (f"/agents/{dice.choice(agents)}/versions", {}),
        "numbers": lambda: ("/numbers", {}),
        "trunks": lambda: ("/trunks", {}),
        "bookings": lambda: ("/bookings", {}),
        "callbacks": lambda: ("/callbacks", {}),
        "audit": lambda: ("/audit", {}),
    }


async def _deep_cursor(http: httpx.AsyncClient) -> str:
    """The cursor behind a call of about the middle."""
    middle = (datetime.now(UTC) - timedelta(days=548)).isoformat()
    answer = await http.get("/calls", params={"until": middle, "limit": 1})
    answer.raise_for_status()
    return str(answer.json()["next_cursor"])


async def _plans(
    engine: Any, organization: UUID, actor: Actor, call_id: UUID, agent_id: UUID, caller: str
) -> dict[str, list[str]]:
    """EXPLAIN (ANALYZE, BUFFERS) of each statement of the services, as the app under row-level security."""
    wanted = {
        "calls, the newest": CallFilter(),
        "calls, failed": CallFilter(outcome=("failed",)),
        "calls of an agent": CallFilter(agent_id=agent_id),
        "calls, slow ones": CallFilter(min_latency_ms=3300),
        "calls, end of a number": CallFilter(number=caller[-7:]),
        "calls, a word of most": CallFilter(text=OFTEN),
        "calls, a word of few": CallFilter(text=SELDOM),
    }
    found: dict[str, list[str]] = {}
    for name, filter_ in wanted.items():
        statements: list[tuple[str, Any]] = []
        async with UnitOfWork(engine, organization) as uow:
            with _heard(engine, statements):
                await archive.search(uow, actor, filter_)
            found[name] = await _explained(uow, statements)
    statements = []
    async with UnitOfWork(engine, organization) as uow:
        with _heard(engine, statements):
            await archive.detail(uow, actor, call_id)
        found["one call"] = await _explained(uow, statements)
    return found


class _heard:  # noqa: N801 - reads as a statement
    def __init__(self, engine: Any, statements: list[tuple[str, Any]]) -> None:
        self._engine = engine.sync_engine
        self._statements = statements

    def _hear(
        self, _c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if statement.lstrip().upper().startswith("SELECT") and "set_config" not in statement:
            self._statements.append((statement, parameters))

    def __enter__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._hear)

    def __exit__(self, *_error: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._hear)


async def _explained(uow: UnitOfWork, statements: list[tuple[str, Any]]) -> list[str]:
    connection = await uow.session.connection()
    plans: list[str] = []
    for statement, parameters in statements[:_MOST_PLANS]:
        rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
        plans.append("\n".join(row[0] for row in rows))
    return plans


if __name__ == "__main__":
    main()
