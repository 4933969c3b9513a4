"""A channel to one speech server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from appliance.clients import kserve
from appliance.errors import TrunklineError, Unavailable

_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", kserve.MAX_MESSAGE_BYTES),
)


class SpeechServer:
    """A channel to one speech server: connects again by itself, and says in time when it cannot."""

    def __init__(self, address: str, what: str, connect_timeout_seconds: float) -> None:
        self.address = address
        self.what = what
        self._connect_timeout_seconds = connect_timeout_seconds
        self._channel: Any = None

    async def stub(self) -> Any:
        """The service's stub on a connected channel. Raises Unavailable."""
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._connect_timeout_seconds)
        except TimeoutError as error:
            raise Unavailable(
                f"{self.what} at {self.address} cannot be reached.",
                remedy="See that the speech server runs.",
            ) from error
        return kserve.services.GRPCInferenceServiceStub(self._channel)

    async def model_ready(self, model: str) -> bool:
        try:
            stub = await self.stub()
            request = kserve.messages.ModelReadyRequest(name=model)
            answer = await stub.ModelReady(request, timeout=self._connect_timeout_seconds)
        except (grpc.aio.AioRpcError, Unavailable):
            return False
        return bool(answer.ready)

    def error(self, error: grpc.aio.AioRpcError) -> TrunklineError:
        return kserve.error_of(error.code(), error.details() or "", what=self.what)

    async def close(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
