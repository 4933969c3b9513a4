"""Audio of several rooms in one process: each stream has its own alone, and nothing stays behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import numpy as np
import pytest
from livekit import api, rtc
from livekit.rtc._ffi_client import FfiClient

from provisioning.lite.box import Box
from runtime.sip import sdk_audio
from runtime.sip.sdk_audio import SdkAudio
from tests.integration.bridge.room_agent import until

RATE_HZ = 16_000
FRAME_SAMPLES = RATE_HZ // 100
TONES_HZ = (400, 700, 1000, 1300)


def subscribers() -> int:
    queue: object = FfiClient.instance.queue
    return len(vars(queue)["_subscribers"])


def pitch(samples: np.ndarray) -> float:
    """The loudest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * RATE_HZ / samples.size)


class Pair:
    """A room with one who sends a tone and one who listens."""

    def __init__(self, box: Box, sdk: SdkAudio, tone_hz: int) -> None:
        self._rooms = box.settings.rooms
        self._sdk = sdk
        self.tone_hz = tone_hz
        self.source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=0)
        self._sender, self._listener = rtc.Room(), rtc.Room()
        self._name = f"tone-{tone_hz}"

    async def join(self) -> None:
        async with self._api() as client:
            await client.room.create_room(api.CreateRoomRequest(name=self._name))
        await self._sender.connect(self._rooms.url, self._token("sender"))
        track = rtc.LocalAudioTrack.create_audio_track("tone", self.source)
        options = rtc.TrackPublishOptions(dtx=False, red=False)
        await self._sender.local_participant.publish_track(track, options)
        await self._listener.connect(self._rooms.url, self._token("listener"))

    async def leave(self) -> None:
        await self._listener.disconnect()
        await self._sender.disconnect()
        async with self._api() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=self._name))

    async def send(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for frame in range(int(seconds * 100)):
            at = np.arange(frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES) / RATE_HZ
            pcm = (8000 * np.sin(2 * np.pi * self.tone_hz * at)).astype("<i2").tobytes()
            await self._sdk.capture(self.source, rtc.AudioFrame(pcm, RATE_HZ, 1, FRAME_SAMPLES))
            await asyncio.sleep(max(began + frame / 100 - loop.time(), 0))

    async def hear(self, seconds: float) -> np.ndarray:
        """So much of what arrives, from its first sound on."""
        heard: list[np.ndarray] = []
        track = await until(self._track, what="the track")
        async with self._sdk.stream(track, rate_hz=RATE_HZ, frame_ms=20, most_frames=50) as stream:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16)
                if heard or np.abs(samples).max() > 1000:
                    heard.append(samples)
                if len(heard) >= seconds * 50:
                    break
        return np.concatenate(heard)

    def _track(self) -> rtc.RemoteAudioTrack | None:
        for participant in self._listener.remote_participants.values():
            for publication in participant.track_publications.values():
                if isinstance(publication.track, rtc.RemoteAudioTrack):
                    return publication.track
        return None

    def _api(self) -> api.LiveKitAPI:
        rooms = self._rooms
        return api.LiveKitAPI(rooms.http_url, rooms.api_key, rooms.api_secret.reveal())

    def _token(self, identity: str) -> str:
        token = api.AccessToken(self._rooms.api_key, self._rooms.api_secret.reveal())
        grants = api.VideoGrants(room_join=True, room=self._name)
        return token.with_identity(identity).with_ttl(timedelta(minutes=5)).with_grants(grants).to_jwt()


@pytest.mark.timeout(180)
async def test_each_room_hears_its_own_and_nothing_stays_behind(box: Box) -> None:
    await asyncio.to_thread(box.start, "livekit")
    before = subscribers()
    sdk = SdkAudio()
    try:
        async with AsyncExitStack() as stack:
            pairs = [Pair(box, sdk, tone_hz) for tone_hz in TONES_HZ]
            for pair in pairs:
                await pair.join()
                stack.push_async_callback(pair.leave)
            rooms = subscribers()
            sending = [asyncio.create_task(pair.send(30)) for pair in pairs]
            try:
                hearing = [asyncio.create_task(pair.hear(1.0)) for pair in pairs]
                async with asyncio.timeout(60):
                    await until(lambda: len(vars(sdk)["_streams"]) == len(pairs), what="all listen")
                    for _ in range(100):
                        assert subscribers() == rooms, "a stream or a frame has a queue of its own again"
                        await asyncio.sleep(0.005)
                    heard = await asyncio.gather(*hearing)
            finally:
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
            assert [pitch(samples[RATE_HZ // 5 :]) for samples in heard] == pytest.approx(TONES_HZ, abs=30)
            assert vars(sdk)["_streams"] == {}
            await until(lambda: not vars(sdk)["_captures"], what="every frame was answered")
    finally:
        sdk.close()
    assert subscribers() == before


async def test_a_frame_that_the_sdk_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_audio, "_PATIENCE_SECONDS", 20.0)
    sdk = SdkAudio()
    try:
        source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=0)
        wrong = rtc.AudioFrame(bytes(2 * 480), 48_000, 1, 480)
        with pytest.raises(RuntimeError):
            await sdk.capture(source, wrong)
        await source.aclose()
    finally:
        sdk.close()
