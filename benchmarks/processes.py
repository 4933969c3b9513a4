"""CPU and memory of the box's processes while something is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Self

import psutil

from provisioning.lite.box import Box
from provisioning.lite.programs import PARTS


@dataclass
class _Spent:
    cpu_seconds: float
    memory_mib: float
    threads: int
    files: int
    processes: int


def look(box: Box, part: str) -> _Spent:
    """What the part's process tree has used so far; memory is the proportional set if the kernel tells it."""
    total = _Spent(0.0, 0.0, 0, 0, 0)
    for pid in box.pids(part):
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            memory: Any = process.memory_full_info()
            total.cpu_seconds += times.user + times.system
            total.memory_mib += getattr(memory, "pss", memory.rss) / 2**20
            total.threads += process.num_threads()
            total.files += process.num_fds()
            total.processes += 1
        except psutil.Error:
            continue  # it ended between the list and the look
    return total


class Meter:
    """`with Meter(box) as meter: ...`; then `result` has each part's CPU and memory."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._before: dict[str, _Spent] = {}
        self._began = 0.0
        self.result: dict[str, dict[str, float]] = {}

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._before = {part: look(self._box, part) for part in PARTS}
        return self

    def __exit__(self, *_error: object) -> None:
        seconds = time.monotonic() - self._began
        for part, before in self._before.items():
            now = look(self._box, part)
            # the memory is taken at the end, with the processes of the last calls still there
            share = max(0.0, now.cpu_seconds - before.cpu_seconds) / seconds * 100
            self.result[part] = {
                "cpu_percent_of_a_core": round(share, 1),
                "memory_mib": round(max(now.memory_mib, before.memory_mib), 1),
                "processes": now.processes,
                "threads": now.threads,
                "open_files": now.files,
            }
