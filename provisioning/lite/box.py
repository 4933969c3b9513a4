"""A box of the lite profile in one directory: prepared, started, watched and stopped.

`Box` is synchronous: it is what a command line and a test fixture hold, and nothing in a call path does.
"""

from __future__ import annotations

import json
import os
import signal as signals
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from appliance.errors import InvalidInput, NotFound
from appliance.settings import SETTINGS_VARIABLE, Settings
from provisioning.lite.cache import cache_directory
from provisioning.lite.engines import Engines, chosen
from provisioning.lite.part import Part, Site
from provisioning.lite.ports import Ports
from provisioning.lite.probes import NotReady
from provisioning.lite.programs import CALL_PATH, PARTS
from provisioning.lite.seed import Seed, seed
from provisioning.lite.settings_file import write_if_changed, write_settings
from provisioning.lite.start import OnEvent, Start, quiet
from provisioning.lite.supervisor import Supervisor
from provisioning.lite.versions import installed


class Box:
    """One box.

    Args:
        directory: everything of the box lies under it: settings, secrets, data, logs.
        port_base: its parts listen on loopback from this port on (see docs/architecture.md).
        overrides: settings laid over the profile's own, nested or with dots in the key.
        engines: `real` has Triton, the voice and vLLM in place of the lite speech server.
        durable: False trades the database's safety at a power cut for speed; for tests.
    """

    def __init__(
        self,
        directory: Path,
        port_base: int,
        *,
        overrides: Mapping[str, Any] | None = None,
        engines: Engines = "lite",
        durable: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.ports = Ports(port_base)
        self.overrides = dict(overrides or {})
        self.engines: Engines = engines
        self._durable = durable
        self._site: Site | None = None
        self._seed: Seed | None = None
        self._provisioned: set[str] = set()
        self._supervisor = Supervisor(self.directory, marks=self.environment)
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
        return cls(
            directory,
            kept["port_base"],
            overrides=kept["overrides"],
            engines=kept.get("engines", "lite"),
            durable=kept["durable"],
        )

    # What it is

    @property
    def site(self) -> Site:
        """Where it runs; prepares the box if nobody has."""
        if self._site is None:
            self.prepare()
        assert self._site is not None
        return self._site

    @property
    def call_path(self) -> tuple[str, ...]:
        """The parts that a call needs, with the engines of this box."""
        return chosen(CALL_PATH, self.engines)

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
        settings = write_settings(self.directory, self.ports, self.overrides, self.engines)
        (self.directory / "log").mkdir(exist_ok=True)
        self._site = Site(self.directory, self.ports, settings, self._durable, self.engines)
        kept = {
            "port_base": self.ports.base,
            "overrides": self.overrides,
            "engines": self.engines,
            "durable": self._durable,
        }
        write_if_changed(self.directory / "box.json", json.dumps(kept) + "\n")
        if settings.telemetry.versions_file is not None:
            versions = json.dumps(installed(cache_directory()), indent=2) + "\n"
            write_if_changed(settings.telemetry.versions_file, versions)

    def start(self, *names: str, on_event: OnEvent = quiet) -> dict[str, float]:
        """Starts the named parts (none named: those of the call path) and what they need, and waits
        until they serve.

        Parts that wait for nothing start side by side. Returns the milliseconds from start to ready of each;
        for one that ran already, of its probe. Raises Unavailable with the end of its log when one does not
        become ready.
        """
        with self._starting:
            start = Start(self.site, self._supervisor, on_event)
            return start.run([_part(name).name for name in names] or list(self.call_path), self._provisioned)

    def start_bare(self, name: str) -> None:
        """Starts one part as it is, without provisioning it: nothing is made, migrated or seeded."""
        with self._starting:
            Start(self.site, self._supervisor, quiet).run([_part(name).name], {name})

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
        return [name for name in PARTS if states.get(name, ("", 0))[1]]

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


def _part(name: str) -> Part:
    if name not in PARTS:
        raise InvalidInput(f"There is no part {name!r}.", field="part", remedy=f"Known: {', '.join(PARTS)}.")
    return PARTS[name]
