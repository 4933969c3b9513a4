"""How quick the lists and details of the API and of the console are with very many calls, by which plans.

    python -m benchmarks.console_queries [--calls 1000000] [--requests 100] [--directory var/bench-console]

Makes a box of its own with a database and a console, generates the calls (20 segments and 5 turns each, and
one call of two hours), asks the API and the pages over HTTP, and keeps p50/p95/p99 and the plans of the
statements. A directory that has as many calls already is used as it is; `--only-generate` makes one,
`--drop` deletes it at the end. A million calls take about 12 GB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access import sessions
from appliance.access.domain import RIGHTS_OF_ROLE, Actor, ActorKind, Role
from appliance.access.sessions import Limits, Member
from appliance.agents.tables import Agent
from appliance.calls import archive
from appliance.calls.archive_domain import CallFilter
from appliance.calls.tables import Call
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.api_keys import create_key
from appliance.organizations.domain import KeyInput
from benchmarks.call_world import OFTEN, SEGMENTS_OF_A_CALL, SELDOM, World, generate
from benchmarks.console_requests import Request, requests_of_pages, requests_of_the_api
from benchmarks.results import machine, save, spread
from console.web.cookies import SESSION, Cookies
from provisioning.lite.box import Box

PORT_BASE = 34_400
AIM_P95_MS = 100
WARM_UP = 5
_MOST_PLANS = 6
Figures = dict[str, dict[str, float] | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100, help="of each kind")
    parser.add_argument("--directory", type=Path, default=Path("var/bench-console"))
    parser.add_argument("--port-base", type=int, default=PORT_BASE)
    parser.add_argument("--only-generate", action="store_true", help="make the calls and measure nothing")
    parser.add_argument("--drop", action="store_true", help="delete the directory at the end")
    given = parser.parse_args()
    box = Box(given.directory, given.port_base, durable=False)
    try:
        box.start("postgres")
        if given.only_generate:
            _world(box, given.directory, given.calls)
            return
        box.start("console")
        world = _world(box, given.directory, given.calls)
        print(save("console-queries", asyncio.run(measure(box, world, given.calls, given.requests))))
    finally:
        box.stop_all()
        if given.drop:
            shutil.rmtree(given.directory)


def _world(box: Box, directory: Path, calls: int) -> World:
    mark = directory / "generated.json"
    if mark.exists():
        known = json.loads(mark.read_text(encoding="utf-8"))
        if known["calls"] == calls:
            return World(UUID(known["organization"]), UUID(known["long_call"]))
    made = generate(box, calls, lambda line: print(line, file=sys.stderr, flush=True))
    kept = {"calls": calls, "organization": str(made.organization), "long_call": str(made.long_call)}
    mark.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    return made


async def measure(box: Box, world: World, calls: int, requests: int) -> dict[str, Any]:
    """The figures of each kind of request, and the plans of the statements behind it."""
    organization = world.organization
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
        callers = [(row.caller or "", row.created_at) for row in sample]
        kinds = requests_of_the_api(dice, ids, agents, callers, world.long_call)
        figures: dict[str, Figures] = {}
        async with httpx.AsyncClient(
            base_url=f"{box.settings.console.url}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ) as http:
            deep = {"cursor": await _deep_cursor(http)}
            kinds["calls, deep in the list"] = lambda: ("/calls", deep)
            for name, make in kinds.items():
                figures[name] = await _timed(http, box, name, make, requests)
        async with await _member(engine, box, organization) as browser:
            for name, make in requests_of_pages(dice, ids, world.long_call).items():
                figures[name] = await _timed(browser, box, name, make, requests)
        plans = await _plans(engine, organization, actor, ids[0], agents[-1], sample[0].caller or "")
        async with UnitOfWork(engine, organization) as uow:
            size = await uow.session.scalar(text("SELECT pg_database_size(current_database())"))
    finally:
        await engine.dispose()
    slow = [
        name
        for name, found in figures.items()
        if (clock := found["milliseconds"]) is not None and clock["p95"] >= AIM_P95_MS
    ]
    return {
        "calls": calls,
        "segments": calls * SEGMENTS_OF_A_CALL,
        "database_gib": round((size or 0) / 2**30, 2),
        "aim_p95_ms": AIM_P95_MS,
        "over_the_aim": slow,
        "machine": machine(),
        "figures": figures,
        "plans": plans,
    }


async def _timed(http: httpx.AsyncClient, box: Box, name: str, make: Request, requests: int) -> Figures:
    """Of each request the time until the answer, and what console and database computed for it."""
    took: list[float] = []
    worked: list[float] = []
    pids: list[int] = []
    for index in range(WARM_UP + requests):
        path, query = make()
        if index == WARM_UP:  # by then all connections that it needs are there
            pids = [*box.pids("console"), *box.pids("postgres")]
        began, before = time.perf_counter(), _processor_ms(pids)
        answer = await http.get(path, params=query)
        if index >= WARM_UP:
            took.append((time.perf_counter() - began) * 1000)
            worked.append(_processor_ms(pids) - before)
        answer.raise_for_status()
    found: Figures = {"milliseconds": spread(took), "processor_milliseconds": spread(worked)}
    print(name, found, file=sys.stderr, flush=True)
    return found


def _processor_ms(pids: list[int]) -> float:
    """What these processes have computed so far; other than the clock it does not count who else computes."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(task.read_text(encoding="ascii").split()[0])
    return total / 1e6


async def _member(engine: AsyncEngine, box: Box, organization: UUID) -> httpx.AsyncClient:
    """The browser of a member who is an admin of the organization."""
    member = Member("bench", "Bench", None, {organization: frozenset({Role.ADMIN})}, operator=False)
    settings = box.settings.console
    async with UnitOfWork(engine, None) as uow:
        limits = Limits(idle=timedelta(hours=8), absolute=timedelta(hours=8))
        _session, secret = await sessions.begin(
            uow, member, limits, authenticated_at=datetime.now(UTC), organization_id=organization
        )
    cookie = Cookies(settings.cookie_key.reveal(), secure=settings.secure).name(SESSION)
    return httpx.AsyncClient(
        base_url=settings.url,
        cookies={cookie: secret},
        headers={"accept": "text/html"},
        timeout=60,
        trust_env=False,
    )


async def _deep_cursor(http: httpx.AsyncClient) -> str:
    """The cursor behind a call of about the middle."""
    middle = (datetime.now(UTC) - timedelta(days=548)).isoformat()
    answer = await http.get("/calls", params={"until": middle, "limit": 1})
    answer.raise_for_status()
    return str(answer.json()["next_cursor"])


async def _plans(
    engine: AsyncEngine, organization: UUID, actor: Actor, call_id: UUID, agent_id: UUID, caller: str
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
        "calls, a word of none": CallFilter(text="nowhere"),
        "calls, a word of most and slow": CallFilter(text=OFTEN, min_latency_ms=3300),
        "calls, slow and failed": CallFilter(outcome=("failed",), min_latency_ms=3300),
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
    def __init__(self, engine: AsyncEngine, statements: list[tuple[str, Any]]) -> None:
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
