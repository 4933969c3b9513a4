"""One voice server for the folder: the first test that asks starts it, and one after a test that ended it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.tts.voice_server import VoiceServer, add_voice
from tests.models import voice


@pytest.fixture(scope="session")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceServer]:
    directory = tmp_path_factory.mktemp("voice")
    add_voice(directory / "manifest.yaml", voice.folder())
    server = VoiceServer(directory, directory / "manifest.yaml")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(_started: VoiceServer) -> VoiceServer:
    """A server that is ready and has nothing to do."""
    if _started.process is None or _started.process.poll() is not None:
        _started.start()
    _started.until("trunkline_voice_streams", 0)
    return _started


@pytest.fixture
def tiny_voice(tmp_path: Path) -> Path:
    """A copy of the tiny voice that a test may spoil."""
    import shutil

    return Path(shutil.copytree(voice.folder(), tmp_path / "tiny"))
