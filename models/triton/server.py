"""The server's process: started, watched until it has inferred, ended in order."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

import grpc
import structlog

from appliance.clients import kserve
from appliance.errors import Unavailable
from models.offline import OFFLINE
from models.processes import die_with_parent
from models.triton.environments import Environments
from models.triton.repository import DRAIN_FILE, MODEL

_log = structlog.get_logger(__name__)

START_SECONDS = 300.0
"""NeMo alone takes 15 s to import on a quiet machine; large weights more."""
STOP_SECONDS = 9.0
_POLL_SECONDS = 0.2
_KEPT_LINES = 400
_REASON = re.compile(r"TritonModelException: (?P<text>.+?)(?:\\n|\n)")
_SECOND_REASON = re.compile(r"(?P<text>\w*(?:Error|Exception): .+?)(?:\\n|\n)")


class TritonServer:
    """One tritonserver. Its lines go to our output; the last ones are kept to say why it ended."""

    def __init__(
        self,
        folder: Path,
        environments: Environments,
        *,
        grpc_address: str,
        http_port: int,
        metrics_port: int,
    ) -> None:
        host, _, port = grpc_address.rpartition(":")
        self._address = grpc_address
        self._drain_file = folder / DRAIN_FILE
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._command = [
            str(environments.server),
            f"--model-repository={folder / 'models'}",
            f"--backend-directory={folder / 'backends'}",
            "--backend-config=python,shm-default-byte-size=4194304",
            "--backend-config=python,shm-growth-byte-size=1048576",
            f"--backend-config=python,stub-timeout-seconds={START_SECONDS:.0f}",
            f"--grpc-address={host}",
            f"--grpc-port={port}",
            f"--http-address={host}",
            f"--http-port={http_port}",
            f"--metrics-address={host}",
            f"--metrics-port={metrics_port}",
            "--allow-gpu-metrics=false",
            "--disable-auto-complete-config",
            "--exit-on-error=true",
            f"--exit-timeout-secs={STOP_SECONDS - 1:.0f}",
            "--grpc-keepalive-time=10000",
            "--grpc-keepalive-timeout=5000",
            "--grpc-keepalive-permit-without-calls=true",
            "--grpc-http2-min-recv-ping-interval-without-data=4000",
        ]
        python = environments.speech_python_home
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            **{name: value for name, value in os.environ.items() if name.startswith(("CUDA_", "NVIDIA_"))},
            **OFFLINE,
            "LD_LIBRARY_PATH": environments.library_path,
            "PYTHONHOME": str(python),
            "PYTHONUNBUFFERED": "1",
            "TORCHDYNAMO_DISABLE": "1",
            "GOMP_SPINCOUNT": "0",
            "MALLOC_ARENA_MAX": "4",
        }
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        threading.Thread(target=self._copy, args=(self._process,), daemon=True).start()

    def _copy(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.append(line)
            print(line, end="", flush=True)

    @property
    def ended(self) -> int | None:
        """The exit code, once it has ended."""
        return None if self._process is None else self._process.poll()

    def wait_until_ready(self, stopped: threading.Event) -> bool:
        """True when the recogniser has inferred; False when `stopped` came first.

        Raises Unavailable with the reason when the server ends or takes too long.
        """
        began = time.monotonic()
        request = kserve.messages.ModelReadyRequest(name=MODEL)
        with grpc.insecure_channel(self._address) as channel:
            stub = kserve.services.GRPCInferenceServiceStub(channel)
            while not stopped.wait(_POLL_SECONDS):
                if self.ended is not None:
                    raise Unavailable(
                        f"Triton could not serve the recogniser: {self._reason()}",
                        remedy="Mend that, then start it again.",
                    )
                try:
                    if stub.ModelReady(request, timeout=2.0).ready:
                        _log.info("triton ready", seconds=round(time.monotonic() - began, 1))
                        return True
                except grpc.RpcError:
                    pass
                if time.monotonic() - began > START_SECONDS:
                    raise Unavailable(f"Triton was not ready within {START_SECONDS:.0f} s.")
        return False

    def _reason(self) -> str:
        text = "".join(self._lines)
        found = _REASON.search(text) or _SECOND_REASON.search(text)
        return found["text"].strip() if found else f"it ended with code {self.ended}."

    def stop(self) -> None:
        """Lets it drain what is under way, then ends it and whatever it has started."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self._drain_file.touch()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _log.warning("triton did not end in time")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
