"""supervisord under the box's directory, and what one asks of it over its unix socket."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults  # pyright: ignore[reportMissingTypeStubs]
from typing_extensions import override

from appliance.errors import InvalidInput, Unavailable
from provisioning.lite.cache import REPOSITORY
from provisioning.lite.settings_file import write_if_changed

_LONGEST_SOCKET_PATH = 90
_START_SECONDS = 30.0
_STOP_SECONDS = 90.0
_CALL_SECONDS = 60.0
"""Longer than the slowest part may take to stop."""
_ORPHAN_SECONDS = 10.0
_SAME_START_SECONDS = 3.0


class Program:
    """One `[program]` of supervisord's configuration; programs start in the order of their priority."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        priority: int,
        environment: Mapping[str, str],
        stop_signal: str,
        stop_seconds: int,
    ) -> None:
        self.name = name
        unfit = [
            key
            for key, value in environment.items()
            if '"' in value or "\n" in value or value != value.strip("'")
        ]
        if unfit:  # the file format knows no way to write it
            raise InvalidInput(f"The value of {unfit[0]} of {name} holds a quote or a line end.")
        pairs = ",".join(f'{key}="{value.replace("%", "%%")}"' for key, value in environment.items())
        self.section = "\n".join(
            [
                f"[program:{name}]",
                "command=" + " ".join(f'"{_escape(word)}"' for word in command),
                f"directory={_escape(str(REPOSITORY))}",
                f"environment={pairs}",
                f"priority={priority}",
                "autostart=false",
                "autorestart=true",
                "startsecs=2",
                "startretries=10",
                f"stopsignal={stop_signal}",
                f"stopwaitsecs={stop_seconds}",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile={_escape(str(log))}",
                "stdout_logfile_maxbytes=20MB",
                "stdout_logfile_backups=2",
                "",
            ]
        )


def _escape(text: str) -> str:
    return text.replace("%", "%%").replace('"', '\\"')


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CALL_SECONDS)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, with a timeout; supervisor's own transport has none."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @override
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


class Supervisor:
    """The supervisor of one box directory, running or not.

    `marks` are environment variables that every program of this box has and no other: by them its orphans are
    found when a supervisor was killed.
    """

    def __init__(self, directory: Path, *, marks: Mapping[str, str]) -> None:
        self._marks = {**marks, "SUPERVISOR_ENABLED": "1"}
        self._folder = directory / "supervisor"
        path = self._folder / "socket"
        if len(str(path)) > _LONGEST_SOCKET_PATH:  # the kernel takes 107 bytes
            short = hashlib.sha256(str(path).encode()).hexdigest()[:16]
            path = Path(tempfile.gettempdir()) / f"trunkline-{os.getuid()}-{short}.sock"
        self._socket = path
        self._configuration = self._folder / "supervisord.conf"
        self._pid_file = self._folder / "pid"
        self.log = self._folder / "supervisord.log"

    def configure(self, programs: Sequence[Program]) -> None:
        """Writes the configuration; a running supervisor takes up what has changed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        main = "\n".join(
            [
                "[supervisord]",
                f"logfile={_escape(str(self.log))}",
                f"pidfile={_escape(str(self._pid_file))}",
                f"childlogdir={_escape(str(self._folder))}",
                "identifier=trunkline",
                "minfds=4096",
                "umask=022",
                *(["user=root"] if os.geteuid() == 0 else []),
                "",
                "[unix_http_server]",
                f"file={_escape(str(self._socket))}",
                "chmod=0700",
                "",
                "[rpcinterface:supervisor]",
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
                "",
            ]
        )
        changed = write_if_changed(
            self._configuration, "\n".join([main, *(program.section for program in programs)]), private=True
        )
        if changed and self.running():
            self._reload()

    def _reload(self) -> None:
        added, altered, removed = self._call("reloadConfig")[0]
        for name in (*altered, *removed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*altered, *added):
            self._call("addProcessGroup", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(self._socket)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def pid(self) -> int | None:
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            ours = any("supervisor" in word for word in process.cmdline())
        except (OSError, ValueError, psutil.Error):
            return None
        return process.pid if ours and _alive(process) else None

    def running(self) -> bool:
        try:
            return bool(self._call("getState"))
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Starts it in the background. Raises Unavailable when it does not answer in time.

        What a killed supervisor of this box has left behind is ended first.
        """
        if self.running():
            return
        self._end_orphans()
        environment = {
            key: value
            for key, value in os.environ.items()
            # The parts talk to loopback only, and keep what Python has compiled.
            if not key.lower().endswith("_proxy") and key != "PYTHONDONTWRITEBYTECODE"
        }
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)]
        result = subprocess.run(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.running():
            if result.returncode != 0 or time.monotonic() > deadline:
                raise Unavailable(
                    "The supervisor did not start.", remedy=f"See {self.log}. {result.stderr.strip()[-400:]}"
                )
            time.sleep(0.05)

    def start_program(self, name: str) -> None:
        """Does nothing when it runs already."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise Unavailable(f"{name} cannot be started: {fault.faultString}.") from fault

    def stop_program(self, name: str) -> None:
        """Returns when it has ended."""
        try:
            self._call("stopProcess", name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
                raise Unavailable(f"{name} cannot be stopped: {fault.faultString}.") from fault

    def states(self) -> dict[str, tuple[str, int]]:
        """State name (RUNNING, BACKOFF, ...) and pid (0: none) of each program; empty when nothing runs."""
        try:
            rows = self._call("getAllProcessInfo")
        except (OSError, xmlrpc.client.Error):
            return {}
        return {row["name"]: (row["statename"], row["pid"]) for row in rows}

    def shutdown(self) -> None:
        """Ends the supervisor, and with it whatever still runs."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                try:
                    self._call("shutdown")
                except (OSError, xmlrpc.client.Error):
                    process.terminate()
                if not _wait_gone([process], _STOP_SECONDS):
                    process.kill()
        self._end_orphans()

    def _end_orphans(self) -> None:
        left = self._orphans()
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(process)
            if _wait_gone(left, _ORPHAN_SECONDS):
                return

    def _orphans(self) -> list[psutil.Process]:
        """Programs that this supervisor's log names, if they are still the same processes, and all below
        them; and whoever carries our marks (a server that writes its title over its environment does not)."""
        found: dict[int, psutil.Process] = {}
        for pid, spawned_at in self._spawned().items():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if abs(process.create_time() - spawned_at) < _SAME_START_SECONDS:
                    found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if all(environment.get(key) == value for key, value in self._marks.items()):
                    found[process.pid] = process
        found.pop(os.getpid(), None)
        return list(found.values())

    def _spawned(self) -> dict[int, float]:
        """Pid and time (seconds since 1970) of the programs' starts, as far as the log goes back."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        return {
            int(pid): datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
            for when, pid in re.findall(
                r"^(\S+ \S+) INFO spawned: '[^']*' with pid (\d+)", text, re.MULTILINE
            )
        }


def _wait_gone(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """True when all have ended in time. A zombie that its parent does not collect has ended, too."""
    deadline = time.monotonic() + seconds
    while any(_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
