"""After a hundred calls nothing is left: no room, channel, port, connection or file, and memory is flat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import psutil
import pytest
from livekit import api

from appliance.errors import TrunklineError
from provisioning.caller import CallFailed, SipCaller
from provisioning.demo.call_records import CallRecords
from provisioning.lite.box import Box
from tests.fixtures.calls import number_uri

AT_ONCE = 4
"""The worker keeps two processes warm; many more at once on two cores would measure how it starts others."""
WARM_UP = 16
CALLS = 100
CLEAN_SECONDS = 60
MOST_TRIES = 8
POOLS, OTHERS = 4, 3
"""Of tool API and jobs worker: the pools of two roles each, and their connections outside of them (the queue
of jobs, the listener for events). A pool fills up to its size as many calls as it takes; a call that kept a
connection would empty it, and the calls after it would fail."""
OURS = ("tool_api", "bridge", "worker", "jobs", "speech", "dialogue")
WATCHED = (*OURS, "asterisk", "livekit")
ROOM = {"livekit": 2.0}
"""How many times its memory a part may hold after the warm-up; 1.2 where nothing is said. Go's heap grows to
twice what lives in it before it is collected."""


@dataclass(frozen=True)
class Footprint:
    """What a part's own (long-lived) process holds, and how many processes it has below it."""

    memory_mib: float
    files: int
    threads: int
    processes: int


@dataclass(frozen=True)
class Left:
    """What calls leave behind when something is forgotten."""

    rooms: tuple[str, ...]
    channels: tuple[str, ...]
    bridges: tuple[str, ...]
    rtp_ports: tuple[int, ...]
    audio_connections: int
    spool_files: tuple[str, ...]
    open_calls: int

    def __bool__(self) -> bool:
        return any((self.rooms, self.channels, self.bridges, self.rtp_ports, self.spool_files)) or bool(
            self.audio_connections + self.open_calls
        )


def footprint(box: Box, part: str) -> Footprint:
    pids = box.pids(part)
    process = psutil.Process(pids[0])
    with process.oneshot():
        memory = process.memory_info().rss / 2**20
        return Footprint(memory, process.num_fds(), process.num_threads(), len(pids))


async def left_behind(box: Box, records: CallRecords) -> Left:
    settings = box.settings
    rooms = settings.rooms
    async with api.LiveKitAPI(rooms.http_url, rooms.api_key, rooms.api_secret.reveal()) as client:
        named = tuple(room.name for room in (await client.room.list_rooms(api.ListRoomsRequest())).rooms)
    gateway = settings.gateway
    auth = (gateway.ari_user, gateway.ari_password.reveal())
    async with httpx.AsyncClient(base_url=f"{gateway.ari_url}/ari", auth=auth, timeout=10) as ari:
        channels = tuple(item["name"] for item in (await ari.get("/channels")).json())
        bridges = tuple(item["id"] for item in (await ari.get("/bridges")).json())
    sockets = [one for pid in box.pids("asterisk") for one in psutil.Process(pid).net_connections("inet")]
    rtp = range(box.ports["rtp_first"], box.ports["rtp_last"] + 1)
    ports = tuple(sorted(one.laddr.port for one in sockets if one.laddr and one.laddr.port in rtp))
    audio = sum(1 for one in sockets if one.raddr and one.raddr.port == box.ports["bridge_audiosocket"])
    spool = tuple(
        path.name
        for path in settings.spool_dir.rglob("*")
        if path.is_file() and path.suffix in (".spool", ".enc")
    )
    # `admitted` alone: the answer to the admission came too late for the gateway; the jobs worker ends it
    query = "SELECT count(*) AS n FROM calls WHERE ended_at IS NULL AND status <> 'admitted'"
    open_calls = (await records.rows(query))[0]["n"]
    return Left(named, channels, bridges, ports, audio, spool, open_calls)


async def clean(box: Box, records: CallRecords) -> Left:
    """Waits until nothing is left; what was left when the patience ended."""
    deadline = time.monotonic() + CLEAN_SECONDS
    left = await left_behind(box, records)
    while left and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        left = await left_behind(box, records)
    return left


async def database_connections(records: CallRecords, which: str = "") -> int:
    """Those of the box; the test's own are not counted."""
    query = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'trunkline-%%' AND application_name NOT LIKE 'trunkline-records%%'"
    )
    return (await records.rows(f"{query} {which}"))[0]["n"]


async def no_transaction_is_left(records: CallRecords) -> None:
    """Sooner than the server would end one that was forgotten (after 60 s)."""
    deadline = time.monotonic() + 30
    while held := await database_connections(records, "AND state <> 'idle'"):
        assert time.monotonic() < deadline, held
        await asyncio.sleep(0.2)


async def cancelled(caller: SipCaller, uri: str) -> None:
    """Hangs up while it rings."""
    leg = await caller.call(uri)
    await leg.rings(40)
    await leg.hangup()


async def hung_up_at_once(caller: SipCaller, uri: str) -> None:
    leg = await caller.call(uri)
    await leg.answered(40)
    await leg.hangup()


async def heard(caller: SipCaller, uri: str) -> None:
    """Hears the agent begin, presses a key, holds, resumes and hangs up in the middle of its sentence."""
    leg = await caller.call(uri, codec="alaw")
    await leg.answered(40)
    await leg.hears_speech(40, since_ns=leg.invited_ns)
    await leg.send_dtmf("1")
    await leg.hold()
    await leg.resume()
    await leg.hangup()


KINDS: tuple[Callable[[SipCaller, str], Awaitable[None]], ...] = (
    heard,
    cancelled,
    heard,
    hung_up_at_once,
    heard,
)


async def many(box: Box, count: int) -> list[str]:
    """So many calls, some at a time; what went wrong with which kind of call."""
    places = asyncio.Semaphore(AT_ONCE)
    failures: list[str] = []
    async with SipCaller() as caller:

        async def one(index: int) -> None:
            async with places:
                kind = KINDS[index % len(KINDS)]
                for left in reversed(range(MOST_TRIES)):
                    try:
                        await kind(caller, number_uri(box))
                        return
                    except CallFailed as error:
                        if error.status != 503 or not left:
                            failures.append(f"{kind.__name__}: {error}")
                            return
                        await asyncio.sleep(1)  # "come again later", as the Retry-After of a full box says
                    except TrunklineError as error:
                        failures.append(f"{kind.__name__}: {error}")
                        return

        await asyncio.gather(*(one(index) for index in range(count)))
    return failures


@pytest.mark.timeout(600)
async def test_after_many_calls_nothing_is_left(box: Box) -> None:
    box.start()
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        admitted_before = (await records.rows("SELECT count(*) AS n FROM calls"))[0]["n"]
        failures = await many(box, WARM_UP)
        assert not await clean(box, records)
        warm = {part: footprint(box, part) for part in WATCHED}

        failures += await many(box, CALLS)
        await no_transaction_is_left(records)
        left = await clean(box, records)
        assert not left, left
        # busy machines lose a call now and then; what may not be lost is what a call has taken
        assert len(failures) <= (WARM_UP + CALLS) // 10, failures
        admitted = (await records.rows("SELECT count(*) AS n FROM calls"))[0]["n"]
        assert admitted - admitted_before >= (WARM_UP + CALLS) * 9 // 10
        assert await database_connections(records) <= POOLS * box.settings.database.pool_size + OTHERS

    deadline = time.monotonic() + CLEAN_SECONDS
    while problems := grown(box, warm):
        assert time.monotonic() < deadline, problems
        await asyncio.sleep(0.5)


def grown(box: Box, warm: dict[str, Footprint]) -> list[str]:
    """The parts that hold more than after the warm-up; a hundred forgotten calls would show in each."""
    problems: list[str] = []
    for part, before in warm.items():
        now = footprint(box, part)
        if now.memory_mib > before.memory_mib * ROOM.get(part, 1.2) + 20:
            problems.append(f"{part} grew from {before.memory_mib:.0f} to {now.memory_mib:.0f} MiB")
        if now.files > before.files + 12:
            problems.append(f"{part} went from {before.files} to {now.files} open files")
        if now.threads > before.threads + 12:
            problems.append(f"{part} went from {before.threads} to {now.threads} threads")
        if now.processes > before.processes + 2:
            problems.append(f"{part} went from {before.processes} to {now.processes} processes")
    return problems
