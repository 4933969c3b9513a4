"""`appliance models selftest` with running servers: real voice, lite recogniser, scripted dialogue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import write_settings
from tests.engines.tts.voice_server import VoiceServer

pytestmark = pytest.mark.timeout(900)
"""Servers are started inside of tests here; a busy machine needs minutes for each."""


class SelfTest:
    """The command of one site; `settings` may be changed by a test."""

    def __init__(self, directory: Path, overrides: Mapping[str, str]) -> None:
        self.folder = directory / "expectation"
        self._directory = directory
        self.configure(overrides)

    def configure(self, overrides: Mapping[str, str]) -> None:
        write_settings(self._directory / "box", Ports(17000), overrides)
        self.environment = {**os.environ, SETTINGS_VARIABLE: str(self._directory / "box" / "settings.yaml")}

    def command(self, *arguments: str) -> list[str]:
        program = Path(sys.executable).with_name("appliance")
        return [
            str(program),
            "models",
            "selftest",
            "--folder",
            str(self.folder),
            "--limit",
            "60",
            *arguments,
        ]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture
def overrides(server: VoiceServer, box: Box) -> dict[str, str]:
    box.start("speech", "dialogue")
    return {
        "speech.stt_address": box.settings.speech.stt_address,
        "speech.tts_address": server.address,
        "language.base_url": box.settings.language.base_url,
        "language.model": "scripted",
    }


@pytest.fixture
def selftest(overrides: dict[str, str], tmp_path: Path) -> SelfTest:
    return SelfTest(tmp_path, overrides)


def test_what_was_recorded_is_found_again_and_what_changed_is_told(
    selftest: SelfTest, overrides: dict[str, str]
):
    nothing = selftest.run()
    assert nothing.returncode == 2
    assert "--record" in nothing.stderr

    recorded = selftest.run("--record")
    assert recorded.returncode == 0, recorded.stderr
    well = selftest.run("--json")
    report = json.loads(well.stdout)
    assert well.returncode == 0, report
    assert {result["part"]: result["good"] for result in report["results"]} == {
        "stt": True,
        "tts": True,
        "llm": True,
    }

    file = selftest.folder / "expectation.json"
    expectation = json.loads(file.read_text())
    assert "appointment" in expectation["stt"]["text"]
    file.write_text(json.dumps({**expectation, "llm": {"question": "When?", "text": "Never."}}))
    changed = selftest.run("--json")
    assert changed.returncode == 1
    wrong = [result["part"] for result in json.loads(changed.stdout)["results"] if not result["good"]]
    assert wrong == ["llm"]

    file.write_text(json.dumps(expectation))
    selftest.configure({**overrides, "speech.tts_address": "127.0.0.1:9"})
    away = selftest.run()
    assert away.returncode == 3
    assert "does not answer" in away.stdout

    file.write_text("{")
    assert selftest.run().returncode == 1


def test_on_a_schedule_it_goes_on_until_it_is_stopped(selftest: SelfTest):
    assert selftest.run("--record", "--any-answer").returncode == 0
    process = subprocess.Popen(
        selftest.command("--json", "--every", "0.2"),
        env=selftest.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert [json.loads(process.stdout.readline())["good"] for _ in range(2)] == [True, True]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
