"""CPU and memory of the box's processes while something is measured."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import psutil

from provisioning.lite.box import Box
from provisioning.lite.programs import PARTS


@dataclass
class Used:
    """What a part uses: seconds of CPU so far, proportional set in MiB, and how many of the rest."""

    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    threads: int = 0
    files: int = 0
    processes: int = 0


def look(pids: list[int]) -> dict[int, Used]:
    """What each of these processes uses now; one that ended meanwhile is left out."""
    found: dict[int, Used] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            memory: Any = process.memory_full_info()
            found[pid] = Used(
                times.user + times.system,
                getattr(memory, "pss", memory.rss) / 2**20,
                process.num_threads(),
                process.num_fds(),
                1,
            )
        except psutil.Error:
            continue
    return found


def look_at(box: Box, part: str) -> Used:
    """What the whole process tree of a part uses now."""
    total = Used()
    for used in look(box.pids(part)).values():
        total.cpu_seconds += used.cpu_seconds
        total.memory_mib += used.memory_mib
        total.threads += used.threads
        total.files += used.files
        total.processes += 1
    return total


class Meter:
    """`with Meter(box) as meter: ...`; then `result` has each part's CPU and memory.

    Looks each second, because the processes of calls come and go: one that ends is counted as last seen.
    """

    def __init__(self, box: Box, *, every_seconds: float = 1.0) -> None:
        self._box, self._every = box, every_seconds
        self._first: dict[int, float] = {}
        self._last: dict[str, dict[int, float]] = {part: {} for part in PARTS}
        self._most: dict[str, Used] = {part: Used() for part in PARTS}
        self._stop = threading.Event()
        self._began = 0.0
        self.result: dict[str, dict[str, float]] = {}

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._look(first=True)
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        seconds = time.monotonic() - self._began
        for part, spent in self._last.items():
            used = sum(last - self._first.get(pid, 0.0) for pid, last in spent.items())
            most = self._most[part]
            self.result[part] = {
                "cpu_percent_of_a_core": round(used / seconds * 100, 1),
                "memory_mib": round(most.memory_mib, 1),
                "processes": most.processes,
                "threads": most.threads,
                "open_files": most.files,
            }

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._look()

    def _look(self, *, first: bool = False) -> None:
        for part in PARTS:
            found = look(self._box.pids(part))
            most = self._most[part]
            for pid, used in found.items():
                if first:
                    self._first[pid] = used.cpu_seconds
                self._last[part][pid] = used.cpu_seconds
            for name in ("memory_mib", "threads", "files", "processes"):
                now = sum(getattr(used, name) for used in found.values())
                setattr(most, name, max(getattr(most, name), now))
