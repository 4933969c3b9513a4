"""Only the weights that were added are served, and nothing is fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.manifest import load_manifest
from tests.engines.tts.voice_server import VoiceServer, add_voice
from tests.models import voice

pytestmark = pytest.mark.timeout(900)
"""Servers are started inside of tests here; a busy machine needs minutes for each."""


@pytest.fixture
def added(tiny_voice: Path, tmp_path: Path) -> VoiceServer:
    """A server that was not started, of a voice that may be spoiled after it was added."""
    add_voice(tmp_path / "manifest.yaml", tiny_voice)
    return VoiceServer(tmp_path, tmp_path / "manifest.yaml")


def test_a_missing_file_is_an_error_and_no_download(added: VoiceServer, tiny_voice: Path):
    (tiny_voice / "model.pth").unlink()
    assert "model.pth is missing" in added.refusal()
    assert not added.connections.exists(), added.connections.read_text()


def test_a_changed_byte_is_refused(added: VoiceServer, tiny_voice: Path):
    weights = bytearray((tiny_voice / "model.pth").read_bytes())
    weights[len(weights) // 2] ^= 1
    (tiny_voice / "model.pth").write_bytes(weights)
    assert "was changed after it was added" in added.refusal()


def test_weights_of_another_architecture_are_refused_in_words(tiny_voice: Path, tmp_path: Path):
    config = json.loads((tiny_voice / "config.json").read_text())
    config["model_args"]["hidden_channels"] = 64
    (tiny_voice / "config.json").write_text(json.dumps(config))
    add_voice(tmp_path / "manifest.yaml", tiny_voice)
    said = VoiceServer(tmp_path, tmp_path / "manifest.yaml").refusal()
    assert "demo-voice cannot be loaded" in said
    assert "Traceback" not in said


def test_no_manifest_and_no_voice_are_told(tmp_path: Path):
    assert "No model for tts was added" in VoiceServer(tmp_path, tmp_path / "nothing.yaml").refusal()


async def test_a_speaking_server_talks_to_nobody_else(server: VoiceServer):
    assert await server.say("Nobody else hears this.")
    told = server.connections.read_text() if server.connections.exists() else ""
    assert not [line for line in told.splitlines() if "127.0.0.1" not in line and "/" not in line], told
    # Nor does a log: what callers hear is not written down.
    assert "Nobody else" not in server.log.read_text()
    assert "nobody else" not in server.log.read_text()


def test_it_is_added_and_proved_on_the_command_line(tmp_path: Path):
    manifest = tmp_path / "manifest.yaml"

    def appliance(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("appliance"), "models", *arguments, "--manifest", str(manifest)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert appliance("add", "demo-voice", str(voice.folder())).returncode == 0
    assert appliance("verify").returncode == 0
    assert load_manifest(manifest).models[0].architecture == "vits"
    refused = appliance("add", "xtts-v2", str(voice.folder()))
    assert refused.returncode == 2
    assert "CPML" in refused.stderr + refused.stdout
    wrong = appliance("add", "xtts-v2", str(voice.folder()), "--allow-non-commercial")
    assert wrong.returncode == 2
    assert "xtts" in wrong.stderr + wrong.stdout
