"""`python -m models.llm.vllm`, in the language environment: serves the manifest's language model.

Verifies the model's files, starts vLLM with the device's launch profile, proves it by a real completion (only
then `/health` is good), and passes SIGTERM on after nothing new is taken. Ends with vLLM, whatever ends it.

Exit codes: 0 stopped, 1 vLLM ended by itself, 2 the settings or the model are wrong.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog

from appliance.errors import InvalidInput, TrunklineError
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from models.inventory import read_inventory
from models.llm.vllm.launch import DRAIN_SECONDS, Limits, command, environment
from models.llm.vllm.middleware import WARM_UP_HEADER
from models.llm.vllm.profiles import LaunchProfile, choose, load_profiles
from models.opened import OpenedModel, open_model
from models.processes import adopt_orphans, die_with_parent, end_descendants

_log = structlog.get_logger(__name__)

_REPOSITORY = Path(__file__).resolve().parents[3]
_START_SECONDS = 900.0
_PROBE_SECONDS = 5.0
_POLL_SECONDS = 0.5
_LONG_ENOUGH = "This is the first question after the start. " * 8
"""vLLM's CPU build dies of a very short first prompt; a long one is also the better proof."""


def address(settings: Settings) -> tuple[str, int]:
    """Host and port of `language.base_url`."""
    parts = urlsplit(settings.language.base_url)
    if not parts.hostname or not parts.port:
        raise InvalidInput("The settings name no address for vLLM.", field="language.base_url")
    return parts.hostname, parts.port


def profile_for(settings: Settings) -> LaunchProfile:
    """By the device's memory, unless the site names one."""
    engines = settings.engines
    memory_mib = 0
    if engines.device != "cpu" and not engines.launch_profile:
        index = int(engines.device.partition(":")[2] or 0)
        gpus = {gpu.index: gpu for gpu in read_inventory().gpus}
        if index not in gpus:
            raise InvalidInput(f"This machine has no GPU {index}.", field="engines.device")
        memory_mib = gpus[index].memory_mib
    return choose(load_profiles(), engines.device, memory_mib, named=engines.launch_profile)


class Server:
    """vLLM as a child, from its start to its end."""

    def __init__(self, opened: OpenedModel, profile: LaunchProfile, settings: Settings, folder: Path) -> None:
        host, port = address(settings)
        self._opened = opened
        self._url = f"http://{host}:{port}"
        self._drain_file = folder / "draining"
        self._limits = Limits(
            model=opened.name,
            sha256=opened.sha256,
            max_requests=profile.max_requests,
            live_reserve=profile.live_reserve,
            max_tokens=profile.max_tokens,
            warm_up_key=secrets.token_urlsafe(16),
            drain_file=str(self._drain_file),
        )
        vllm = Path(sys.executable).with_name("vllm")
        self._child = subprocess.Popen(
            command(vllm, opened, profile, host, port, alias=settings.language.model),
            env=environment(os.environ, profile, self._limits, _REPOSITORY),
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Nothing new is taken from now on; what is being written is finished, for a bounded time."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._drain_file.touch()
        self._child.terminate()

    def prove(self) -> None:
        """Waits for the server and asks it one real question. Raises TrunklineError when none is answered."""
        for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
            if self._child.poll() is not None or self._stopping.wait(_POLL_SECONDS):
                return
            try:
                httpx.get(f"{self._url}/health/live", timeout=_PROBE_SECONDS, trust_env=False)
                break
            except httpx.HTTPError:
                continue
        messages = [
            {"role": "system", "content": _LONG_ENOUGH},
            {"role": "user", "content": _LONG_ENOUGH},
        ]
        body = {"model": self._opened.name, "messages": messages, "max_tokens": 4, "priority": 0}
        header = {WARM_UP_HEADER.decode(): self._limits.warm_up_key}
        answer = httpx.post(
            f"{self._url}/v1/chat/completions", json=body, headers=header, timeout=120.0, trust_env=False
        )
        if answer.is_error:
            _log.error("the first completion failed", status=answer.status_code)
            raise InvalidInput(f"{self._opened.name} does not answer: {answer.text[:300]}")
        _log.info("language model serves", model=self._opened.name, sha256=self._opened.sha256[:12])

    def wait(self) -> int:
        """Until it ends. 0 when it was told to, else 1."""
        while self._child.poll() is None:
            if self._stopping.wait(_POLL_SECONDS):
                break
        if self._stopping.is_set():
            try:
                self._child.wait(DRAIN_SECONDS + 2)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            return 0
        _log.error("vllm ended by itself", code=self._child.returncode)
        return 1

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        end_descendants()


def main() -> int:
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="language")
        if settings.engines.manifest is None:
            raise InvalidInput("The settings name no manifest.", field="engines.manifest")
        address(settings)
        profile = profile_for(settings)
        opened = open_model(settings.engines.manifest, "llm", settings.engines.llm)
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    _log.info("starting vllm", model=opened.name, profile=profile.name)
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="trunkline-language-") as folder:
        server = Server(opened, profile, settings, Path(folder))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: server.stop())
        try:
            server.prove()
        except (TrunklineError, httpx.HTTPError) as error:
            print(f"The language model could not be proven: {error}", file=sys.stderr)
            server.kill()
            return 1
        try:
            return server.wait()
        finally:
            end_descendants()  # the engine's core does not notice that the web server was killed


if __name__ == "__main__":
    sys.exit(main())
