"""One call's things inside Asterisk: the caller's channel, the external channel that carries its audio to us,
and the bridge that mixes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog

from appliance.errors import Conflict, NotFound, TrunklineError, Unavailable
from runtime.sip.ari import AriClient, Event
from runtime.sip.audiosocket import AudioSocketConnection, AudioSocketServer
from runtime.sip.channels import EXTERNAL_PREFIX, GONE, Channels, new_bridge_id

log = structlog.get_logger()

_MEDIA_TIMEOUT_SECONDS: Final = 5.0


class Switchboard:
    """Every method raises the errors of `AriClient`; `close` never raises and leaves nothing behind."""

    def __init__(
        self,
        ari: AriClient,
        channels: Channels,
        audiosocket: AudioSocketServer,
        *,
        address: str,
        caller_channel: str,
        on_caller_event: Callable[[Event], None],
    ) -> None:
        self._ari = ari
        self._channels = channels
        self._audiosocket = audiosocket
        self._address = address
        self._on_caller_event = on_caller_event
        self.caller_channel = caller_channel
        self.caller_gone = False
        self._bridge: str | None = None
        self._external: str | None = None
        self._caller_bridged = False
        self._closed = False
        channels.claim(caller_channel, self._caller_event)

    def _caller_event(self, event: Event) -> None:
        if event["type"] in GONE:
            self.caller_gone = True
        self._on_caller_event(event)

    def replace_caller(self, channel_id: str) -> None:
        """The far side has put another channel in the caller's place (an attended transfer)."""
        self._channels.release(self.caller_channel)
        self.caller_channel = channel_id
        self.caller_gone = False
        self._channels.claim(channel_id, self._caller_event)

    # Media

    async def open_media(self) -> AudioSocketConnection:
        """Makes the external channel and the bridge, again after a loss; returns the audio connection.

        Raises Conflict when the call was closed meanwhile: nothing would take down what is made then.
        """
        await self._drop_external()
        if self._closed:
            raise Conflict("The call is over; it gets no audio any more.")
        identity = uuid4()
        external = f"{EXTERNAL_PREFIX}{identity}"
        entered = asyncio.Event()

        def on_event(event: Event) -> None:
            if event["type"] == "StasisStart":
                entered.set()

        self._external = external
        self._channels.claim(external, on_event)
        try:
            async with asyncio.timeout(_MEDIA_TIMEOUT_SECONDS):
                with self._audiosocket.expecting(identity) as arriving:
                    await self._ari.external_media(external, address=self._address, data=str(identity))
                    if self._bridge is None:
                        bridge = new_bridge_id()
                        self._channels.bridges.add(bridge)
                        self._bridge = bridge
                        await self._ari.create_bridge(bridge)
                    connection = await arriving
                    # Before its own StasisStart the channel cannot be added (422).
                    await entered.wait()
                    await self._ari.add_to_bridge(self._bridge, external)
        except TimeoutError:
            raise Unavailable("Asterisk did not connect the call's audio in time.") from None
        return connection

    async def answer(self) -> None:
        await self._ari.answer(self.caller_channel)
        await self.connect_caller()

    async def connect_caller(self) -> None:
        """Puts the caller into the bridge."""
        if self._bridge is None:
            raise Conflict("The call has no bridge yet.")
        if self._caller_bridged:
            return
        await self._ari.add_to_bridge(self._bridge, self.caller_channel)
        self._caller_bridged = True

    async def join(self, target_channel: str) -> None:
        """Connects caller and human directly; the audio no longer passes us."""
        if self._bridge is None:
            raise Conflict("The call has no bridge.")
        await self._ari.add_to_bridge(self._bridge, target_channel)
        await self._drop_external()

    async def _drop_external(self) -> None:
        external, self._external = self._external, None
        if external is not None:
            await self._try(self._ari.hangup, external)
            self._channels.release(external)

    # The caller

    async def refuse(
        self, context: str, sip_status: int, *, retry_after_seconds: int | None, contact: str | None
    ) -> None:
        """Lets the dialplan answer the INVITE with `sip_status`."""
        if retry_after_seconds is not None:
            await self._ari.set_variable(
                self.caller_channel, "TRUNKLINE_RETRY_AFTER", str(retry_after_seconds)
            )
        if contact is not None:
            await self._ari.set_variable(self.caller_channel, "TRUNKLINE_CONTACT", contact)
        await self._ari.continue_in_dialplan(self.caller_channel, context, str(sip_status))

    async def fall_back(self, context: str, *, language: str, overflow: str | None) -> None:
        """Gives the caller to the dialplan, which hands on or speaks, and hangs up."""
        await self._ari.set_variable(self.caller_channel, "TRUNKLINE_LANGUAGE", language)
        if overflow is not None:
            await self._ari.set_variable(self.caller_channel, "TRUNKLINE_OVERFLOW", overflow)
        await self._ari.continue_in_dialplan(self.caller_channel, context, "s")

    async def close(self, *, hang_up_caller: bool, q850_cause: int) -> None:
        """Takes everything down and gives the channels up."""
        self._closed = True
        if hang_up_caller and not self.caller_gone:
            await self._try(self._ari.hangup, self.caller_channel, q850_cause)
        await self._drop_external()
        if self._bridge is not None:
            await self._try(self._ari.destroy_bridge, self._bridge)
            self._channels.bridges.discard(self._bridge)
            self._bridge = None
        self._channels.release(self.caller_channel)

    async def _try(self, request: Callable[..., object], *arguments: object) -> None:
        try:
            await request(*arguments)  # pyright: ignore[reportGeneralTypeIssues]
        except NotFound:
            return
        except TrunklineError as error:
            # The orphan sweep finds what Asterisk did not take down.
            log.warning("something was left in asterisk for the sweep", reason=error.code)
