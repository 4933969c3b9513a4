"""Asterisk's REST interface (ARI): requests, and the websocket of events that connects again by itself.

https://docs.asterisk.org/Latest_API/API_Documentation/Asterisk_REST_Interface/
Why a module of our own: docs/adr/0030.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import structlog

from appliance.errors import Conflict, InvalidInput, NotFound, TrunklineError, Unavailable
from appliance.settings import GatewaySettings

log = structlog.get_logger()

Event = dict[str, Any]
_BY_STATUS: dict[int, type[TrunklineError]] = {400: InvalidInput, 404: NotFound, 409: Conflict, 412: Conflict}
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0
_HEARTBEAT_SECONDS = 5.0


class AriClient:
    """One application of one Asterisk. Open it inside the running loop and close it at the end.

    Every request raises NotFound for a channel or bridge that is gone, Conflict for one in a state that
    forbids the request, InvalidInput for a wrong parameter, Unavailable when Asterisk is away or late.
    """

    def __init__(self, settings: GatewaySettings, *, timeout_seconds: float = 5.0) -> None:
        self.app = settings.ari_app
        self._base = settings.ari_url.rstrip("/") + "/ari"
        self._login = aiohttp.encode_basic_auth(settings.ari_user, settings.ari_password.reveal())
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self.connected = False
        """Whether the websocket of events stands."""

    async def __aenter__(self) -> AriClient:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": self._login},
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=64),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the ARI client is not open")
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
    ) -> Any:
        """Sends one request below `/ari` and returns the decoded answer, or None when there is no body."""
        try:
            async with self._open_session.request(
                method, self._base + path, params=params, json=json
            ) as answer:
                if answer.status >= 400:
                    raise _error(answer.status, method, path, await answer.text())
                if answer.content_length == 0 or answer.status == 204:
                    return None
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(
                "Asterisk does not answer at its REST interface.", remedy="Check that it is running."
            ) from error

    # Channels

    async def channels(self) -> list[dict[str, Any]]:
        return await self.request("GET", "/channels")

    async def ring(self, channel_id: str) -> None:
        await self.request("POST", f"/channels/{channel_id}/ring")

    async def answer(self, channel_id: str) -> None:
        await self.request("POST", f"/channels/{channel_id}/answer")

    async def hangup(self, channel_id: str, cause: int = 16) -> None:
        """Hangs up with a Q.850 cause; a channel that is gone is no error."""
        try:
            await self.request("DELETE", f"/channels/{channel_id}", params={"reason_code": cause})
        except NotFound:
            return

    async def set_variable(self, channel_id: str, name: str, value: str) -> None:
        await self.request(
            "POST", f"/channels/{channel_id}/variable", params={"variable": name, "value": value}
        )

    async def continue_in_dialplan(self, channel_id: str, context: str, extension: str) -> None:
        """Gives the channel back to the dialplan at priority 1 of `extension`."""
        await self.request(
            "POST",
            f"/channels/{channel_id}/continue",
            params={"context": context, "extension": extension, "priority": 1},
        )

    async def send_dtmf(self, channel_id: str, digits: str) -> None:
        await self.request("POST", f"/channels/{channel_id}/dtmf", params={"dtmf": digits, "duration": 120})

    async def rtp_statistics(self, channel_id: str) -> dict[str, Any]:
        return await self.request("GET", f"/channels/{channel_id}/rtp_statistics")

    async def originate(
        self,
        endpoint: str,
        *,
        channel_id: str,
        app_args: str,
        caller_id: str,
        timeout_seconds: int,
        originator: str | None = None,
    ) -> None:
        """Dials; the channel enters our application when it is answered."""
        params: dict[str, str | int] = {
            "endpoint": endpoint,
            "app": self.app,
            "appArgs": app_args,
            "channelId": channel_id,
            "callerId": caller_id,
            "timeout": timeout_seconds,
        }
        if originator is not None:
            params["originator"] = originator
        await self.request("POST", "/channels", params=params)

    async def external_media(self, channel_id: str, *, address: str, data: str) -> None:
        """Opens a channel whose audio is an AudioSocket connection to `address`, 16 kHz linear."""
        await self.request(
            "POST",
            "/channels/externalMedia",
            params={
                "channelId": channel_id,
                "app": self.app,
                "external_host": address,
                "encapsulation": "audiosocket",
                "transport": "tcp",
                "connection_type": "client",
                "format": "slin16",
                "direction": "both",
                "data": data,
            },
        )

    # Bridges

    async def bridges(self) -> list[dict[str, Any]]:
        return await self.request("GET", "/bridges")

    async def create_bridge(self, bridge_id: str) -> None:
        """A bridge whose media goes through Asterisk's core: each party keeps the RTP source, sequence and
        time stamps that it had before. Handed on natively, the other party's numbers begin in mid-call, and a
        PBX that transcodes may take all that follows for old packets and drop it."""
        await self.request("POST", "/bridges", params={"type": "mixing,proxy_media", "bridgeId": bridge_id})

    async def destroy_bridge(self, bridge_id: str) -> None:
        try:
            await self.request("DELETE", f"/bridges/{bridge_id}")
        except NotFound:
            return

    async def add_to_bridge(self, bridge_id: str, *channel_ids: str) -> None:
        await self.request(
            "POST", f"/bridges/{bridge_id}/addChannel", params={"channel": ",".join(channel_ids)}
        )

    async def remove_from_bridge(self, bridge_id: str, channel_id: str) -> None:
        await self.request("POST", f"/bridges/{bridge_id}/removeChannel", params={"channel": channel_id})

    # Events

    async def run_events(
        self,
        on_event: Callable[[Event], None],
        *,
        on_connected: Callable[[], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        """Keeps the websocket up for ever and hands each event on, in order.

        `on_event` must not block. `on_connected` runs beside the events after each connect, because its
        requests make events of their own.
        """
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                async with self._open_session.ws_connect(
                    self._base + "/events",
                    params={"app": self.app, "subscribeAll": "false"},
                    heartbeat=_HEARTBEAT_SECONDS,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),  # pyright: ignore[reportCallIssue]
                ) as websocket:
                    wait_seconds = _FIRST_WAIT_SECONDS
                    self.connected = True
                    log.info("asterisk connected")
                    async with asyncio.TaskGroup() as tasks:
                        greeting = tasks.create_task(_run(on_connected))
                        async for message in websocket:
                            if message.type is aiohttp.WSMsgType.TEXT:
                                _deliver(on_event, message)
                        greeting.cancel()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("asterisk not reached", reason=type(error).__name__)
            finally:
                if self.connected:
                    self.connected = False
                    log.warning("asterisk lost")
                    on_lost()
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)


async def _run(on_connected: Callable[[], Awaitable[None]]) -> None:
    try:
        await on_connected()
    except TrunklineError as error:
        log.warning("asterisk was lost while its channels were listed", reason=error.code)


def _deliver(on_event: Callable[[Event], None], message: aiohttp.WSMessage) -> None:
    try:
        event = message.json()
    except ValueError:
        log.warning("asterisk sent something that is not JSON")
        return
    on_event(event)


def _error(status: int, method: str, path: str, text: str) -> TrunklineError:
    message = f"Asterisk answered {status} to {method} {path.split('?')[0]}: {text[:200]}"
    kind = _BY_STATUS.get(status)
    if kind is None and status == 422:
        kind = Conflict
    return (kind or Unavailable)(message)
