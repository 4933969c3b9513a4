"""The other end of the bridge's room: agents that join when they are dispatched, and echo the caller.

Not the worker: it speaks the contract of the room (docs/architecture.md, Contract 2) and nothing else, so
that a test decides when an agent is ready, lost or finished.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any, Self

import numpy as np
from livekit import api, rtc

from provisioning.lite.box import Box

RATE_HZ = 16_000
FRAME_SAMPLES = RATE_HZ // 100


async def until(condition: Any, *, timeout: float = 30, what: str = "the condition") -> Any:
    """Waits for a condition (or what it returns), looking every 50 ms."""
    async with asyncio.timeout(timeout):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(what)


class RoomAgent:
    """One agent in one room."""

    def __init__(self, metadata: dict[str, Any], room_name: str) -> None:
        self.metadata = metadata
        self.room_name = room_name
        self.echoes = True
        self.heard_bytes = 0
        self.heard_loud = 0
        self.digits: list[str] = []
        self.caller_attributes: dict[str, str] = {}
        self.statuses: list[str] = []
        self.gone = asyncio.Event()
        self.room = rtc.Room()
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=0)
        self._tasks: set[asyncio.Task[None]] = set()
        self.room.on("track_subscribed", self._on_track)
        self.room.on("sip_dtmf_received", lambda dtmf: self.digits.append(dtmf.digit))
        self.room.on("participant_attributes_changed", lambda _changed, who: self._note(who))
        self.room.on("participant_connected", self._note)
        self.room.on("disconnected", lambda _reason: self.gone.set())

    @property
    def caller(self) -> rtc.RemoteParticipant | None:
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        return next((who for who in self.room.remote_participants.values() if who.kind == kind), None)

    async def join(self, url: str, token: str) -> None:
        await self.room.connect(url, token)
        track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await self.room.local_participant.publish_track(track, options)
        self._tasks.add(asyncio.create_task(self._keep_sending()))
        if self.caller is not None:
            self._note(self.caller)

    async def say_ready(self) -> None:
        await self.room.local_participant.set_attributes({"trunkline.agent": "ready"})

    async def finish(self) -> None:
        await self.room.local_participant.set_attributes({"trunkline.agent": "finished"})

    async def rpc(self, method: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert self.caller is not None
        answer = await self.room.local_participant.perform_rpc(
            destination_identity=self.caller.identity,
            method=method,
            payload=json.dumps(payload),
            response_timeout=60,
        )
        return json.loads(answer)

    async def active(self, timeout: float = 30) -> None:
        """Waits until the call is answered."""
        await until(lambda: self.caller_attributes.get("sip.callStatus") == "active", timeout=timeout)

    def freeze(self) -> None:
        """Sends nothing any more, like a killed process that LiveKit has not yet noticed."""
        for task in self._tasks:
            task.cancel()

    async def leave(self) -> None:
        tasks, self._tasks = list(self._tasks), set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.room.disconnect()
        await self._source.aclose()

    def _note(self, who: rtc.Participant) -> None:
        if who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP:
            self.caller_attributes = dict(who.attributes)
            status = self.caller_attributes.get("sip.callStatus", "")
            if status and self.statuses[-1:] != [status]:
                self.statuses.append(status)

    def _on_track(self, track: rtc.Track, *_: Any) -> None:
        self._tasks.add(asyncio.create_task(self._echo(track)))

    async def _echo(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=10)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16)
                self.heard_bytes += samples.nbytes
                self.heard_loud += int(np.abs(samples.astype(np.int32)).max(initial=0) > 600)
                if self.echoes:
                    await self._source.capture_frame(event.frame)
        finally:
            await stream.aclose()

    async def _keep_sending(self) -> None:
        """A living agent's track never stops."""
        silence = rtc.AudioFrame(bytes(FRAME_SAMPLES * 2), RATE_HZ, 1, FRAME_SAMPLES)
        while True:
            if not self.echoes or self.heard_bytes == 0:
                await self._source.capture_frame(silence)
            await asyncio.sleep(0.01)


class Agents:
    """Answers the dispatches of a box's rooms while its context lasts."""

    def __init__(self, box: Box) -> None:
        self._settings = box.settings.rooms
        self.all: list[RoomAgent] = []
        self.becomes_ready = True
        """Whether the agents that join from now on say that they are ready."""
        self._seen: set[str] = set()
        self._ending = False
        self._api: api.LiveKitAPI | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._api = api.LiveKitAPI(
            self._settings.http_url, self._settings.api_key, self._settings.api_secret.reveal()
        )
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        assert self._api is not None
        # Not cancelled in a connect: the native side takes that for a panic, and the SDK ends the process.
        self._ending = True
        await asyncio.wait({self._task}, timeout=30)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(agent.leave() for agent in self.all), return_exceptions=True)
        await self._api.aclose()

    async def number(self, count: int, timeout: float = 40) -> RoomAgent:
        """The `count`-th agent (from 1), as soon as it has joined."""
        await until(lambda: self._failed() or len(self.all) >= count, timeout=timeout)
        return self.all[count - 1]

    async def rooms(self) -> list[str]:
        assert self._api is not None
        answer = await self._api.room.list_rooms(api.ListRoomsRequest())
        return [room.name for room in answer.rooms]

    def _failed(self) -> bool:
        assert self._task is not None
        if self._task.done():
            self._task.result()
        return False

    async def _serve(self) -> None:
        assert self._api is not None
        while not self._ending:
            for name in await self.rooms():
                try:
                    dispatches = await self._api.agent_dispatch.list_dispatch(name)
                except api.TwirpError:
                    continue  # the room has just been deleted
                for dispatch in dispatches:
                    if dispatch.id not in self._seen and not self._ending:
                        self._seen.add(dispatch.id)
                        await self._join(name, json.loads(dispatch.metadata))
            await asyncio.sleep(0.1)

    async def _join(self, room_name: str, metadata: dict[str, Any]) -> None:
        token = (
            api.AccessToken(self._settings.api_key, self._settings.api_secret.reveal())
            .with_identity(f"agent-{len(self.all) + 1}")
            .with_kind("agent")
            .with_ttl(timedelta(minutes=10))
            .with_grants(api.VideoGrants(room_join=True, room=room_name, can_update_own_metadata=True))
            .to_jwt()
        )
        agent = RoomAgent(metadata, room_name)
        try:
            await agent.join(self._settings.url, token)
        except rtc.ConnectError:
            return  # the room has just been deleted
        self.all.append(agent)
        if self.becomes_ready:
            await agent.say_ready()
