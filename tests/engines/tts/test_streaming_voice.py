"""A voice that streams inside a clause (XTTS): sound before the end, and freed when cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.errors import InvalidInput
from models.manifest import Manifest, add, load_catalog, save_manifest
from tests.engines.tts.voice_server import VoiceServer
from tests.models import voice

pytestmark = pytest.mark.timeout(900)
"""Servers are started inside of tests here; a busy machine needs minutes for each."""


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceServer]:
    directory = tmp_path_factory.mktemp("xtts")
    manifest, xtts = directory / "manifest.yaml", load_catalog()["xtts-v2"]
    with pytest.raises(InvalidInput, match="CPML"):
        add(Manifest(), xtts, voice.folder("xtts"))
    added = add(Manifest(), xtts, voice.folder("xtts"), allow_non_commercial=True)
    save_manifest(manifest, added)
    server = VoiceServer(directory, manifest)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def test_it_streams_and_is_freed_when_its_listener_leaves(streaming: VoiceServer):
    streaming.until("trunkline_voice_queue", 0)
    async with streaming.client() as client:
        chunks = client.synthesize("Good evening.", voice="ben", language="de")
        assert await anext(chunks)
        # The clause's own end is counted when the engine is done with it: it is still at it.
        assert streaming.metric("trunkline_voice_streams") == 1
        await chunks.aclose()
    streaming.until("trunkline_voice_streams", 0)
    assert len(await streaming.say("Yes.", voice="ada")) > 4_800
    with pytest.raises(InvalidInput):
        await streaming.say("Yes.", voice="cleo")


def test_its_checkpoint_is_left_as_it_was(streaming: VoiceServer):
    from models.opened import open_model

    assert open_model(streaming.manifest, "tts").kind == "xtts"
