"""One start of some parts of a box: what they need first, side by side where nothing forbids it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from appliance.errors import Unavailable
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.engines import Engines, chosen
from provisioning.lite.part import Part, Site
from provisioning.lite.port_check import require_free
from provisioning.lite.probes import NotReady
from provisioning.lite.programs import PARTS
from provisioning.lite.supervisor import Program, Supervisor

OnEvent = Callable[[str, str, float], None]
"""Told of a start's progress: part, `starting` or `ready`, milliseconds since its start."""

_STARTS_THAT_ARE_ENOUGH = 4
_LOG_LINES = 12
_AT_REST = frozenset({"", "STOPPED", "FATAL"})
"""States that the supervisor does not leave by itself."""


class _Abandoned(Unavailable):
    """It was not awaited to the end, because another part failed or a person interrupted."""


def quiet(_part: str, _phase: str, _ms: float) -> None:
    """For those who do not want to see the progress."""


def with_needs(names: Sequence[str], engines: Engines = "lite") -> list[str]:
    """The named parts and all that they need, in the order of their start."""
    wanted: set[str] = set()
    open_ones = list(names)
    while open_ones:
        name = open_ones.pop()
        if name not in wanted:
            wanted.add(name)
            open_ones += chosen(PARTS[name].needs, engines)
    return [name for name in PARTS if name in wanted]


class Start:
    """Starts parts and waits until they serve. Made for one use."""

    def __init__(self, site: Site, supervisor: Supervisor, on_event: OnEvent) -> None:
        self._site = site
        self._supervisor = supervisor
        self._on_event = on_event
        self._failed = threading.Event()

    def run(self, names: Sequence[str], provisioned: set[str]) -> dict[str, float]:
        """Returns the milliseconds until each was ready. `provisioned` keeps the parts whose provisioning is
        done. Raises the first error; the parts that started stay."""
        wanted = with_needs(names, self._site.engines)
        self._configure(wanted)
        self._supervisor.start()
        done = {name: threading.Event() for name in wanted}

        def bring_up(name: str) -> float:
            try:
                for need in chosen(PARTS[name].needs, self._site.engines):
                    done[need].wait()
                took = self._bring_up(PARTS[name], provisioned)
            except BaseException:
                self._failed.set()
                raise
            finally:
                done[name].set()
            return took

        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            try:
                futures = {name: pool.submit(bring_up, name) for name in wanted}
                errors = [error for future in futures.values() if (error := future.exception())]
            except BaseException:
                self._failed.set()
                raise
        if errors:
            raise next((error for error in errors if not isinstance(error, _Abandoned)), errors[0])
        return {name: future.result() for name, future in futures.items()}

    def _configure(self, wanted: Sequence[str]) -> None:
        """Adds the wanted parts to those that the supervisor knows."""
        known = {*self._supervisor.states(), *wanted}
        programs = [
            self._program(part, priority)
            for priority, part in enumerate(PARTS.values())
            if part.name in known
        ]
        self._supervisor.configure(programs)

    def _program(self, part: Part, priority: int) -> Program:
        site = self._site
        niceness = part.niceness if os.geteuid() == 0 else max(part.niceness, 0)
        return Program(
            part.name,
            ["nice", "-n", str(niceness), *part.command(site)],
            log=site.log_path(part.name),
            priority=priority,
            environment={
                SETTINGS_VARIABLE: str(site.settings_file),
                "PYTHONUNBUFFERED": "1",
                **part.environment(site),
            },
            stop_signal=part.stop_signal,
            stop_seconds=part.stop_seconds,
        )

    def _bring_up(self, part: Part, provisioned: set[str]) -> float:
        self._check_abandoned(part)
        if self._supervisor.states().get(part.name, ("", 0))[0] in _AT_REST:
            part.prepare(self._site)
            require_free(self._site.ports, part)
        began = time.monotonic()
        self._on_event(part.name, "starting", 0.0)
        self._supervisor.start_program(part.name)
        self._wait_ready(part, began)
        took = (time.monotonic() - began) * 1000
        if part.name not in provisioned:
            part.provision(self._site)
            provisioned.add(part.name)
        self._on_event(part.name, "ready", took)
        return took

    def _check_abandoned(self, part: Part) -> None:
        if self._failed.is_set():
            raise _Abandoned(f"{part.name} was not awaited, because the start of another part ended.")

    def _wait_ready(self, part: Part, began: float) -> None:
        probe = part.probe(self._site)
        pids: set[int] = set()
        pause = 0.05
        reason = "it has not answered"
        while time.monotonic() - began < part.ready_seconds:
            self._check_abandoned(part)
            state, pid = self._supervisor.states().get(part.name, ("UNKNOWN", 0))
            pids.add(pid)
            if state == "FATAL" or len(pids - {0}) >= _STARTS_THAT_ARE_ENOUGH:
                raise self._not_ready(part, "It ends as soon as it is started.")
            if pid:
                try:
                    probe()
                    return
                except NotReady as error:
                    reason = str(error)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        raise self._not_ready(part, f"After {part.ready_seconds:.0f} s: {reason}.")

    def _not_ready(self, part: Part, reason: str) -> Unavailable:
        log = self._site.log_path(part.name)
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_LINES:]
        except OSError:
            lines = ["(no log was written)"]
        end = "".join(f"\n    {line[:400]}" for line in lines)
        return Unavailable(f"{part.name} did not become ready. {reason}", remedy=f"Its log {log} ends:{end}")
