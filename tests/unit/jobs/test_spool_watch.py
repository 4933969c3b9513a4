"""One file that cannot be delivered never holds up another."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.errors import Unavailable
from runtime.jobs.retries import Retries
from runtime.jobs.spools import AT_ONCE, SpoolWatch

FILES = [Path(name) for name in ("a", "b", "c", "d", "e")]


async def test_each_file_is_tried_whatever_happens_to_the_others() -> None:
    now = 0.0
    tried: list[str] = []

    async def deliver(path: Path) -> None:
        tried.append(path.name)
        if path.name == "a":
            raise Unavailable("the store is away")
        if path.name == "b":
            raise RuntimeError("a mistake of ours")
        if path.name == "c":
            raise OSError(5, "the disk is broken")

    watch = SpoolWatch(lambda: FILES, deliver, 1.0, "test", Retries(lambda: now))
    await watch.look()
    assert sorted(tried) == ["a", "b", "c", "d", "e"]
    assert watch.waiting == 5
    await watch.look()
    assert sorted(tried) == ["a", "b", "c", "d", "d", "e", "e"], "those that failed wait for their time"
    now = 1.0
    tried.clear()
    await watch.look()
    assert sorted(tried) == ["a", "b", "c", "d", "e"]


async def test_only_some_are_delivered_at_a_time() -> None:
    at_once = 0
    most = 0

    async def deliver(_path: Path) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1

    await SpoolWatch(lambda: FILES, deliver, 1.0, "test").look()
    assert most == AT_ONCE


async def test_a_folder_that_cannot_be_read_is_looked_at_again() -> None:
    calls = 0

    def folder() -> list[Path]:
        nonlocal calls
        calls += 1
        raise OSError(13, "not allowed")

    async def deliver(_path: Path) -> None:
        raise AssertionError

    watch = SpoolWatch(folder, deliver, 0.0, "test")
    await watch.look()
    await watch.look()
    assert calls == 2
