"""How SIP messages travel: UDP datagrams, or TCP and TLS streams (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Literal, Protocol

from typing_extensions import override

from appliance.errors import InvalidInput, Unavailable
from provisioning.caller.sip_message import Request, Response, StreamFramer, parse

TransportName = Literal["udp", "tcp", "tls"]
Address = tuple[str, int]
Receiver = Callable[[Request | Response, Address], None]
CONNECT_TIMEOUT_SECONDS = 10.0


class Transport(Protocol):
    """Sends and receives whole messages; `reliable` ones need no retransmission."""

    reliable: bool
    port: int

    async def send(self, data: bytes, to: Address) -> None: ...

    async def close(self) -> None: ...


class UdpTransport(asyncio.DatagramProtocol):
    reliable = False

    def __init__(self, receiver: Receiver) -> None:
        self.port = 0
        self._receiver = receiver
        self._wire: asyncio.DatagramTransport | None = None

    @staticmethod
    async def open(host: str, port: int, receiver: Receiver) -> UdpTransport:
        loop = asyncio.get_running_loop()
        wire, protocol = await loop.create_datagram_endpoint(lambda: UdpTransport(receiver), (host, port))
        protocol._wire = wire  # the protocol is ours
        protocol.port = wire.get_extra_info("sockname")[1]
        return protocol

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive
        with contextlib.suppress(InvalidInput):  # RFC 3261 section 16.3: what cannot be read is dropped
            self._receiver(parse(data), (addr[0], addr[1]))

    async def send(self, data: bytes, to: Address) -> None:
        if self._wire is not None and not self._wire.is_closing():
            self._wire.sendto(data, to)

    async def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


class StreamTransport:
    """TCP, or TLS with `tls`. A request opens a connection or uses the one that is open; answers and the
    other side's requests come back over it. It also listens on its own port."""

    reliable = True

    def __init__(self, receiver: Receiver, tls: ssl.SSLContext | None, tls_name: str | None) -> None:
        self.port = 0
        self._receiver = receiver
        self._tls, self._tls_name = tls, tls_name
        self._server: asyncio.Server | None = None
        self._writers: dict[Address, asyncio.StreamWriter] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Lock()

    @staticmethod
    async def open(
        host: str, port: int, receiver: Receiver, tls: ssl.SSLContext | None, tls_name: str | None
    ) -> StreamTransport:
        transport = StreamTransport(receiver, tls, tls_name)
        transport._server = await asyncio.start_server(transport._accepted, host, port)
        transport.port = transport._server.sockets[0].getsockname()[1]
        return transport

    async def send(self, data: bytes, to: Address) -> None:
        async with self._connecting:
            writer = self._writers.get(to)
            if writer is None or writer.is_closing():
                writer = await self._connect(to)
        writer.write(data)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await writer.drain()
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"The connection to {to[0]}:{to[1]} broke.") from error

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers.values():
            writer.close()
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _connect(self, to: Address) -> asyncio.StreamWriter:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                name = (self._tls_name or to[0]) if self._tls else None
                reader, writer = await asyncio.open_connection(*to, ssl=self._tls, server_hostname=name)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"{to[0]}:{to[1]} takes no SIP connection: {error}.") from error
        self._adopt(reader, writer, to)
        return writer

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port, *_ = writer.get_extra_info("peername")
        self._adopt(reader, writer, (host, port))

    def _adopt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Address) -> None:
        self._writers[peer] = writer
        task = asyncio.create_task(self._read(reader, writer, peer))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Address) -> None:
        framer = StreamFramer()
        try:
            while data := await reader.read(65_536):
                for message in framer.feed(data):
                    self._receiver(message, peer)
        except (InvalidInput, OSError):
            pass  # the stream is lost; the next request opens another
        finally:
            writer.close()
            if self._writers.get(peer) is writer:
                del self._writers[peer]
