"""A caller in a room, without SIP: what the bridge does at its room leg, driven by a test.

It admits the call at the real tool API, makes the room with the agent's dispatch, joins as the SIP
participant with its attributes, speaks with espeak-ng's voice and hears the agent.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import subprocess
import time
import wave
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import soxr
from livekit import rtc

from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Admission, AdmissionRequest, CallContext, Ended, Utterance
from appliance.clients.rooms import RoomServer
from appliance.clients.tool_api import ToolApiClient
from provisioning.lite.box import Box

RATE_HZ = 16_000
_FRAME = RATE_HZ // 50
_LOUD = 200.0


def spoken(text: str, *, voice: str = "en-us+m3", speed: int = 150) -> np.ndarray:
    """espeak-ng's rendering of a text, 16 kHz mono."""
    wav = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text], check=True, capture_output=True
    ).stdout
    with wave.open(io.BytesIO(wav)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        rate = file.getframerate()
    return soxr.resample(samples, rate, RATE_HZ).astype(np.int16)


class RoomCaller:
    """One call. Use it as a context; `answer()` brings it to the point where the agent speaks."""

    def __init__(self, box: Box, *, number: str | None = None, agent_name: str | None = None) -> None:
        self._box = box
        self._agent_name = agent_name
        self._number = number or box.seed.number
        self.sip_call_id = str(uuid4())
        self._service = ToolApiClient.for_service(box.settings.tool_api)
        self._rooms = RoomServer(box.settings.rooms)
        self.room = rtc.Room()
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=200)
        self._tasks: list[asyncio.Task[None]] = []
        self.heard: list[tuple[float, np.ndarray]] = []
        """What the agent said: time of arrival (monotonic) and 20 ms of samples."""
        self.agent_state: dict[str, str] = {}
        self.rpcs: list[tuple[str, dict[str, Any]]] = []
        self.transfer_result = "failed"
        self._speech: asyncio.Queue[np.ndarray] = asyncio.Queue()
        self.held = False

    async def __aenter__(self) -> RoomCaller:
        self.admission: Admission = await self._service.admit(
            AdmissionRequest(
                sip_call_id=self.sip_call_id,
                called=self._number,
                caller="+493012345678",
                trunk_id=self._box.seed.trunk_id,
                gateway_channel="test",
            )
        )
        self.metadata = DispatchMetadata.decode(self.admission.dispatch_metadata)
        self.call = ToolApiClient.for_call(self._box.settings.tool_api, self.metadata.call_token)
        await self._rooms.create(
            self.admission.room_name,
            agent_name=self._agent_name or self.admission.agent_name,
            dispatch_metadata=self.admission.dispatch_metadata,
        )
        self.room.on("track_subscribed", self._track)
        self.room.on("participant_attributes_changed", self._attributes)
        self.room.on("participant_connected", lambda p: self.agent_state.update(p.attributes))
        await self.room.connect(self._box.settings.rooms.url, self.admission.participant_token)
        local = self.room.local_participant
        local.register_rpc_method("trunkline.hangup", self._hangup_rpc)
        local.register_rpc_method("trunkline.transfer", self._transfer_rpc)
        await self._status("ringing")
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await local.publish_track(rtc.LocalAudioTrack.create_audio_track("caller", self._source), options)
        self._tasks.append(asyncio.create_task(self._pump()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        await self.call.close()
        await self._service.close()
        await self._rooms.close()

    async def answer(self) -> None:
        """As the bridge: when the agent is ready, the caller is answered."""
        await self.until(lambda: self.agent_state.get("trunkline.agent") == "ready", "the agent is ready")
        await self._status("active")

    async def hang_up(self) -> None:
        """The caller's side is gone and the room with it; the call is reported as ended. Harmless twice."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.room.disconnect()
        await self._rooms.delete(self.admission.room_name)
        await self._service.ended(self.admission.call_id, Ended(at=datetime.now(UTC), hangup_party="caller"))

    async def lose_agent(self) -> None:
        """Takes the agent out of the room, as if its process had died."""
        for identity in list(self.room.remote_participants):
            await self._rooms.remove(self.admission.room_name, identity)
        await self.until(lambda: not self.room.remote_participants, "the agent is gone")
        self.agent_state.clear()

    async def redispatch(self) -> None:
        """As the bridge after a loss: the next agent, and the caller is active already."""
        again = await self._service.redispatch(self.admission.call_id)
        await self._rooms.dispatch(
            self.admission.room_name,
            agent_name=self._agent_name or self.admission.agent_name,
            dispatch_metadata=again.dispatch_metadata,
        )
        await self.until(lambda: self.agent_state.get("trunkline.agent") == "ready", "another agent is ready")

    async def hold(self, on: bool) -> None:
        self.held = on
        await self.room.local_participant.set_attributes({"trunkline.held": "true" if on else "false"})

    async def press(self, keys: str) -> None:
        for key in keys:
            code = "0123456789*#".index(key)
            await self.room.local_participant.publish_dtmf(code=code, digit=key)

    async def say(self, text: str) -> None:
        """Speaks and returns when the last word has been sent."""
        samples = spoken(text)
        self._speech.put_nowait(samples)
        await asyncio.sleep(len(samples) / RATE_HZ)

    async def listen(self, *, quiet_seconds: float = 1.0, timeout_seconds: float = 60.0) -> float:
        """Waits until the agent has spoken and been quiet; returns the seconds until it began."""
        began = time.monotonic()
        await self.until(lambda: self._loud_since(began) is not None, "the agent speaks", timeout_seconds)
        first = self._loud_since(began)
        assert first is not None
        await self.until(
            lambda: time.monotonic() - self._last_loud() > quiet_seconds,
            "the agent is quiet",
            timeout_seconds,
        )
        return first - began

    async def context(self) -> CallContext:
        return await self.call.context(self.admission.call_id)

    async def said(self) -> list[Utterance]:
        """The conversation as the tool API has it."""
        return list((await self.context()).conversation)

    async def until_said(self, role: str, words: str, timeout_seconds: float = 60.0) -> None:
        """Waits until someone has said something that contains `words`, as the tool API has it."""

        async def there() -> bool:
            return any(u.role == role and words.lower() in u.text.lower() for u in await self.said())

        await self.until_async(there, f"{role} says {words!r}", timeout_seconds)

    async def until(self, condition: Callable[[], Any], what: str, timeout_seconds: float = 60.0) -> None:
        async def asked() -> bool:
            return bool(condition())

        await self.until_async(asked, what, timeout_seconds)

    async def until_async(
        self, condition: Callable[[], Awaitable[bool]], what: str, timeout_seconds: float = 60.0
    ) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not await condition():
            assert time.monotonic() < deadline, f"waited {timeout_seconds:g} s in vain: {what}"
            await asyncio.sleep(0.1)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest stretch without the agent's voice, in seconds."""
        times = [since, *(at for at, pcm in self.heard if since < at < until and _is_loud(pcm)), until]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def _loud_since(self, began: float) -> float | None:
        return next((at for at, pcm in self.heard if at > began and _is_loud(pcm)), None)

    def _last_loud(self) -> float:
        return next((at for at, pcm in reversed(self.heard) if _is_loud(pcm)), 0.0)

    async def _status(self, status: str) -> None:
        await self.room.local_participant.set_attributes(
            {"sip.callStatus": status, "sip.callID": str(self.admission.call_id), "trunkline.held": "false"}
        )

    async def _hangup_rpc(self, data: rtc.RpcInvocationData) -> str:
        self.rpcs.append(("hangup", json.loads(data.payload)))
        return "{}"

    async def _transfer_rpc(self, data: rtc.RpcInvocationData) -> str:
        self.rpcs.append(("transfer", json.loads(data.payload)))
        return json.dumps({"result": self.transfer_result, "cause": 17, "detail": ""})

    def _attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity != self.admission.participant_identity:
            self.agent_state.update(changed)

    def _track(self, track: rtc.Track, *_: object) -> None:
        self._tasks.append(asyncio.create_task(self._hear(track)))

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=20
        )
        try:
            async for event in stream:
                self.heard.append((time.monotonic(), np.frombuffer(event.frame.data, np.int16).copy()))
        finally:
            await stream.aclose()

    async def _pump(self) -> None:
        """Sends what is to be said, and silence otherwise, as a telephone does; nothing while on hold."""
        pending = np.zeros(0, np.int16)
        while True:
            while len(pending) < _FRAME and not self._speech.empty():
                pending = np.concatenate([pending, self._speech.get_nowait()])
            frame, pending = pending[:_FRAME], pending[_FRAME:]
            frame = np.pad(frame, (0, _FRAME - len(frame)))
            if self.held:
                await asyncio.sleep(0.02)
                continue
            await self._source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE_HZ, 1, _FRAME))


def _is_loud(pcm: np.ndarray) -> bool:
    return bool(len(pcm)) and float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))) > _LOUD
