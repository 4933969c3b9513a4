"""A voice server as a process of its own, with the tiny voice added like a customer's."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.clients.speech import TextToSpeech
from models.manifest import Manifest, add, load_catalog, save_manifest
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import write_settings
from tests.models import voice

REPOSITORY = Path(__file__).resolve().parents[3]
START_SECONDS = 240.0
_GUARD = """
import os, sys
def _told(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["CONNECTIONS_LOG"], "a") as log:
            log.write(f"{event} {arguments!r}\\n")
sys.addaudithook(_told)
"""
"""Python runs it first in the server's process; it writes down whom the process wants to talk to."""


def add_voice(manifest: Path, folder: Path, profile: str = "demo-voice") -> None:
    save_manifest(manifest, add(Manifest(), load_catalog()[profile], folder))


class VoiceServer:
    """`start` waits until it is ready, or gives the words with which it ended (`output`, `exit_code`)."""

    def __init__(self, directory: Path, manifest: Path, *, max_streams: int = 8, queue: int = 16) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            self.port, self.health_port = one.getsockname()[1], two.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.log = directory / "voice.log"
        self.connections = directory / "connections.log"
        self.manifest = manifest
        overrides = {
            "speech.tts_address": self.address,
            "speech.max_streams": max_streams,
            "engines.manifest": str(manifest),
            "engines.voice_health_port": self.health_port,
            "engines.voice_queue": queue,
        }
        write_settings(directory / "box", Ports(17000), overrides)
        guard = directory / "guard"
        guard.mkdir(exist_ok=True)
        (guard / "sitecustomize.py").write_text(_GUARD)
        self._environment = {
            **os.environ,
            "TRUNKLINE_SETTINGS": str(directory / "box" / "settings.yaml"),
            "PYTHONPATH": f"{guard}:{REPOSITORY}",
            "CONNECTIONS_LOG": str(self.connections),
            "PYTHONUNBUFFERED": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [voice.PYTHON, "-m", "models.tts"],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self) -> None:
        process = self.launch()
        deadline = time.monotonic() + START_SECONDS
        while self.health("ready") != 200:
            assert process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"not ready in time\n{self.log.read_text()[-3000:]}"
            time.sleep(0.2)

    def health(self, which: str) -> int:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.health_port}/health/{which}", timeout=5
            ) as page:
                return page.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def refusal(self) -> str:
        """What it says when it will not start. It must end by itself, with exit code 2."""
        process = self.launch()
        assert process.wait(START_SECONDS) == 2, self.log.read_text()[-3000:]
        return self.log.read_text()

    def metric(self, name: str) -> float:
        """The sum over all labels, or of one line when `name` has its labels."""
        url = f"http://127.0.0.1:{self.health_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            lines = page.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name} ", f"{name}{{", name + "}"))
        )

    def until(self, condition: str, want: float, seconds: float = 60.0) -> None:
        """Waits until a metric has a value."""
        deadline = time.monotonic() + seconds
        while self.metric(condition) != want:
            assert time.monotonic() < deadline, f"{condition} is {self.metric(condition)}, not {want}"
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    @asynccontextmanager
    async def client(self, limit_seconds: float = 90.0) -> AsyncIterator[TextToSpeech]:
        client = TextToSpeech(
            self.address, first_audio_timeout_seconds=limit_seconds, connect_timeout_seconds=20.0
        )
        try:
            yield client
        finally:
            await client.close()

    async def say(self, text: str, *, voice: str = "", language: str = "en", speed: float = 1.0) -> bytes:
        async with self.client() as client:
            async with asyncio.timeout(150):
                chunks = client.synthesize(text, voice=voice, language=language, speed=speed)
                return b"".join([chunk async for chunk in chunks])
