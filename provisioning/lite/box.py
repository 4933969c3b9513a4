"""A box of the lite profile in one directory: prepared, started, watched and stopped.

`Box` is synchronous: it is what a command line and a test fixture hold, and nothing in a call path does.
"""

from __future__ import annotations

import json
import os
import signal as signals
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from appliance.errors import InvalidInput, NotFound, TrunklineError, Unavailable
from appliance.settings import SETTINGS_VARIABLE, Settings
from provisioning.lite.part import Part, Site
from provisioning.lite.port_check import require_free
from provisioning.lite.ports import Ports
from provisioning.lite.probes import NotReady
from provisioning.lite.programs import PARTS
from provisioning.lite.seed import Seed, seed
from provisioning.lite.settings_file import write_if_changed, write_settings
from provisioning.lite.supervisor import Program, Supervisor

OnEvent = Callable[[str, str, float], None]
"""Told of a start's progress: part, `starting` or `ready`, milliseconds since its start."""

_NICE_OF_THE_REST = 5
_CRASHES_THAT_ARE_ENOUGH = 4


def _quiet(_part: str, _phase: str, _ms: float) -> None:
    """For those who do not want to see the progress."""


class Box:
    """One box.

    Args:
        directory: everything of the box lies under it: settings, secrets, data, logs.
        port_base: its parts listen on loopback from this port on (see docs/architecture.md).
        overrides: settings laid over the profile's own, nested or with dots in the key.
        durable: False trades the database's safety at a power cut for speed; for tests.
    """

    def __init__(
        self,
        directory: Path,
        port_base: int,
        *,
        overrides: Mapping[str, Any] | None = None,
        durable: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.ports = Ports(port_base)
        self.overrides = dict(overrides or {})
        self._durable = durable
        self._site: Site | None = None
        self._seed: Seed | None = None
        self._provisioned: set[str] = set()
        self._supervisor = Supervisor(self.directory)
        self._starting = threading.Lock()

    @staticmethod
    def exists(directory: Path) -> bool:
        """Was a box prepared here?"""
        return (directory / "box.json").exists()

    @classmethod
    def open(cls, directory: Path) -> Box:
        """The box that was prepared in a directory. Raises NotFound when there is none."""
        if not cls.exists(directory):
            raise NotFound(f"There is no box in {directory}.", remedy="Start one by `make demo`.")
        kept = json.loads((directory / "box.json").read_text(encoding="utf-8"))
        return cls(directory, kept["port_base"], overrides=kept["overrides"], durable=kept["durable"])

    # What it is

    @property
    def site(self) -> Site:
        """Where it runs; prepares the box if nobody has."""
        if self._site is None:
            self.prepare()
        assert self._site is not None
        return self._site

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def settings_file(self) -> Path:
        return self.directory / "settings.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to belong to this box."""
        return {SETTINGS_VARIABLE: str(self.settings_file)}

    @property
    def seed(self) -> Seed:
        """Identifiers of what was seeded; starts the database if it does not run."""
        if self._seed is None:
            self.start("postgres")
            self._seed = seed(self.settings)
        return self._seed

    def log_path(self, name: str) -> Path:
        return self.directory / "log" / f"{_part(name).name}.log"

    # Its life

    def prepare(self) -> None:
        """Writes settings, secrets and the supervisor's configuration. Changes nothing the second time."""
        settings = write_settings(self.directory, self.ports, self.overrides)
        (self.directory / "log").mkdir(exist_ok=True)
        self._site = Site(self.directory, self.ports, settings, self._durable)
        kept = {"port_base": self.ports.base, "overrides": self.overrides, "durable": self._durable}
        write_if_changed(self.directory / "box.json", json.dumps(kept) + "\n")

    def start(self, *names: str, on_event: OnEvent = _quiet) -> dict[str, float]:
        """Starts the named parts (all, when none is named) and what they need, and waits until they serve.

        Parts that wait for nothing start side by side. Returns the milliseconds from start to ready of each;
        for one that ran already, of its probe. Raises Unavailable with the end of its log when one does not
        become ready.
        """
        wanted = self._with_needs(names or tuple(PARTS))
        site = self.site
        with self._starting:
            self._configure(site, wanted)
            self._supervisor.start()
            done = {name: threading.Event() for name in wanted}
            failed = threading.Event()

            def bring_up(name: str) -> float:
                part = PARTS[name]
                try:
                    for need in part.needs:
                        done[need].wait()
                    if failed.is_set():
                        raise Unavailable(f"{name} was not started, because another part failed.")
                    took = self._bring_up(site, part, on_event)
                except BaseException:
                    failed.set()
                    raise
                finally:
                    done[name].set()
                return took

            with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
                futures = {name: pool.submit(bring_up, name) for name in wanted}
            errors = [error for future in futures.values() if (error := future.exception())]
            if errors:
                raise next((e for e in errors if "because another part failed" not in str(e)), errors[0])
            return {name: future.result() for name, future in futures.items()}

    def stop(self, *names: str) -> None:
        """Stops the named parts, in the reverse order of their start."""
        named = {_part(name).name for name in names}
        states = self._supervisor.states()
        for name in reversed(PARTS):
            if name in named and name in states:
                self._supervisor.stop_program(name)

    def stop_all(self) -> None:
        """Stops every part in order, and the supervisor."""
        self.stop(*PARTS)
        self._supervisor.shutdown()

    def restart(self, name: str) -> float:
        """Stops one part and starts it again; returns the milliseconds until it was ready."""
        self.stop(name)
        return self.start(name)[name]

    def kill(self, name: str, signal: int = signals.SIGKILL, *, tree: bool = True) -> None:
        """Signals a part's process and (tree) those that it started; the supervisor brings it back."""
        pids = self.pids(name)
        for pid in pids if tree else pids[:1]:
            try:
                os.kill(pid, signal)
            except ProcessLookupError:
                continue

    # Its state

    def running(self) -> list[str]:
        """The parts whose process runs."""
        states = self._supervisor.states()
        return [name for name in PARTS if states.get(name, ("", 0))[0] == "RUNNING"]

    def status(self) -> dict[str, dict[str, Any]]:
        """Of each part: the supervisor's word, the pid, and what its probe sees (empty: ready)."""
        states = self._supervisor.states()
        answer: dict[str, dict[str, Any]] = {}
        for name, part in PARTS.items():
            state, pid = states.get(name, ("STOPPED", 0))
            problem = ""
            if pid:
                try:
                    part.probe(self.site)()
                except NotReady as error:
                    problem = str(error)
            answer[name] = {"state": state.lower(), "pid": pid, "ready": bool(pid) and not problem}
            answer[name]["problem"] = problem
        return answer

    def pids(self, name: str) -> list[int]:
        """The part's own process first, then those below it; empty when it does not run."""
        _, pid = self._supervisor.states().get(_part(name).name, ("", 0))
        if not pid:
            return []
        try:
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    # How it is done

    def _with_needs(self, names: tuple[str, ...]) -> list[str]:
        wanted: set[str] = set()
        open_ones = [_part(name).name for name in names]
        while open_ones:
            name = open_ones.pop()
            if name not in wanted:
                wanted.add(name)
                open_ones += PARTS[name].needs
        return [name for name in PARTS if name in wanted]

    def _configure(self, site: Site, wanted: list[str]) -> None:
        """Adds the wanted parts to those that the supervisor knows."""
        known = {*self._supervisor.states(), *wanted}
        programs: list[Program] = []
        for priority, (name, part) in enumerate(PARTS.items()):
            if name not in known:
                continue
            niceness = [] if part.media else ["nice", "-n", str(_NICE_OF_THE_REST)]
            programs.append(
                Program(
                    name,
                    [*niceness, *part.command(site)],
                    log=site.log_path(name),
                    priority=priority,
                    environment={**self.environment, "PYTHONUNBUFFERED": "1", **part.environment(site)},
                    stop_signal=part.stop_signal,
                    stop_seconds=part.stop_seconds,
                )
            )
        self._supervisor.configure(programs)

    def _bring_up(self, site: Site, part: Part, on_event: OnEvent) -> float:
        if self._supervisor.states().get(part.name, ("", 0))[1] == 0:
            part.prepare(site)
            require_free(site.ports, part)
        began = time.monotonic()
        on_event(part.name, "starting", 0.0)
        self._supervisor.start_program(part.name)
        self._wait_ready(site, part, began)
        took = (time.monotonic() - began) * 1000
        if part.name not in self._provisioned:
            part.provision(site)
            self._provisioned.add(part.name)
        on_event(part.name, "ready", took)
        return took

    def _wait_ready(self, site: Site, part: Part, began: float) -> None:
        probe = part.probe(site)
        seen: set[int] = set()
        pause = 0.05
        reason = "it has not answered"
        while time.monotonic() - began < part.ready_seconds:
            state, pid = self._supervisor.states().get(part.name, ("UNKNOWN", 0))
            seen.add(pid)
            if state == "FATAL" or len(seen - {0}) >= _CRASHES_THAT_ARE_ENOUGH:
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

    def _not_ready(self, part: Part, reason: str) -> TrunklineError:
        log = self.log_path(part.name)
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
        except OSError:
            lines = ["(no log was written)"]
        end = "".join(f"\n    {line[:400]}" for line in lines)
        return Unavailable(f"{part.name} did not become ready. {reason}", remedy=f"Its log {log} ends:{end}")


def _part(name: str) -> Part:
    if name not in PARTS:
        raise InvalidInput(f"There is no part {name!r}.", field="part", remedy=f"Known: {', '.join(PARTS)}.")
    return PARTS[name]
