"""The tasks of a call, with one owner that ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from appliance.errors import TrunklineError

_log = structlog.get_logger(__name__)


class OwnedTasks:
    """Runs coroutines in the background; what fails is logged and ends nothing else."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task = asyncio.create_task(_logged(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Cancels what still runs and waits for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _logged(work: Coroutine[Any, Any, object], name: str) -> None:
    try:
        await work
    except TrunklineError as error:
        _log.warning("a task of the call failed", task=name, code=error.code)
    except Exception:
        _log.exception("a task of the call failed", task=name)
