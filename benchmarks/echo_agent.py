"""An agent that says back what it hears: the far end of the round trip phone -> gateway -> bridge -> room.

It stands in for the worker (which must be stopped): joins each new call's room as an agent, says that it is
ready, and sends each 10 ms frame of the caller back as it comes.

    python -m benchmarks.echo_agent          (TRUNKLINE_SETTINGS names the box)
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import timedelta

from livekit import api, rtc

from appliance.settings import Settings, load_settings

_RATE_HZ = 48_000
_POLL_SECONDS = 0.1


class Echo:
    """One room's echo, from joining to the room's end."""

    def __init__(self, settings: Settings, room_name: str) -> None:
        self._settings, self._name = settings, room_name
        self._room = rtc.Room()
        self._over = asyncio.Event()
        self._source = rtc.AudioSource(_RATE_HZ, 1, queue_size_ms=0)
        self._echoing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        rooms = self._settings.rooms
        grants = api.VideoGrants(room_join=True, room=self._name, can_update_own_metadata=True, agent=True)
        token = (
            api.AccessToken(rooms.api_key, rooms.api_secret.reveal())
            .with_identity("echo")
            .with_kind("agent")
            .with_grants(grants)
            .with_ttl(timedelta(hours=1))
            .to_jwt()
        )
        self._room.on("track_subscribed", self._heard)
        self._room.on("disconnected", lambda *_: self._over.set())
        self._room.on("participant_disconnected", lambda *_: self._over.set())
        try:
            await self._room.connect(rooms.url, token, rtc.RoomOptions(auto_subscribe=True))
            track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
            await self._room.local_participant.publish_track(track, options)
            await self._room.local_participant.set_attributes({"trunkline.agent": "ready"})
            await self._over.wait()
        finally:
            for task in self._echoing:
                task.cancel()
            await asyncio.gather(*self._echoing, return_exceptions=True)
            with suppress(Exception):
                await self._room.disconnect()
            await self._source.aclose()

    def _heard(self, track: rtc.Track, _publication: object, _participant: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            task = asyncio.create_task(self._echo(track))
            self._echoing.add(task)

    async def _echo(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=_RATE_HZ, num_channels=1, frame_size_ms=10, capacity=4)
        try:
            async for event in stream:
                await self._source.capture_frame(event.frame)
        finally:
            await stream.aclose()


async def serve(settings: Settings, stopped: asyncio.Event) -> None:
    """Echoes in every room of a call until `stopped`."""
    rooms = settings.rooms
    client = api.LiveKitAPI(rooms.http_url, rooms.api_key, rooms.api_secret.reveal())
    known: dict[str, asyncio.Task[None]] = {}
    print("the echo agent serves", flush=True)
    try:
        while not stopped.is_set():
            for room in (await client.room.list_rooms(api.ListRoomsRequest())).rooms:
                if room.name.startswith("call-") and room.name not in known:
                    known[room.name] = asyncio.create_task(Echo(settings, room.name).run())
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _POLL_SECONDS)
    finally:
        for task in known.values():
            task.cancel()
        await asyncio.gather(*known.values(), return_exceptions=True)
        await client.aclose()


def main() -> None:
    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await serve(load_settings(), stopped)

    asyncio.run(run())


if __name__ == "__main__":
    main()
