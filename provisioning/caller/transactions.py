"""Transactions (RFC 3261 section 17): what is lost is sent again, what comes twice is answered alike."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from appliance.errors import Unavailable
from provisioning.caller.sip_message import Headers, Request, Response
from provisioning.caller.transport import Address, Transport

T1_SECONDS = 0.5
T2_SECONDS = 4.0
TIMEOUT_SECONDS = 64 * T1_SECONDS
_REMEMBERED = 2000
_REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}


def new_branch() -> str:
    return "z9hG4bK" + secrets.token_hex(8)


class ClientTransaction:
    """A request of ours. `next` gives its responses; for an INVITE also each repeated 2xx."""

    def __init__(self, request: Request, to: Address) -> None:
        self.request, self.to = request, to
        self.responses: asyncio.Queue[Response] = asyncio.Queue(maxsize=100)
        self.provisional = asyncio.Event()
        self.done = False

    def deliver(self, response: Response) -> None:
        self.provisional.set()
        self.done = self.done or response.status >= 200
        if not self.responses.full():
            self.responses.put_nowait(response)

    async def next(self, timeout_seconds: float) -> Response:
        """The next response. Unavailable when none comes in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self.responses.get()
        except TimeoutError as error:
            text = f"{self.request.method} to {self.to[0]}:{self.to[1]} was not answered."
            raise Unavailable(text, remedy="Check that the gateway listens there.") from error

    async def final(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Response:
        """The final response."""
        while (response := await self.next(timeout_seconds)).status < 200:
            pass
        return response


class ServerTransaction:
    """A request of the other side."""

    def __init__(self, request: Request, source: Address, layer: TransactionLayer) -> None:
        self.request, self.source = request, source
        self.acknowledged = asyncio.Event()
        self.final_status = 0
        self.local_tag = secrets.token_hex(6)
        self._layer = layer
        self._last: bytes | None = None

    def respond(
        self,
        status: int,
        *,
        reason: str = "",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Sends a response; a final one to an INVITE again and again until it is acknowledged."""
        response = Response(status=status, reason=reason or _REASONS.get(status, "Response"), body=body)
        for name in ("Via", "Record-Route", "From", "Call-ID", "CSeq"):
            for value in self.request.headers.all(name):
                response.headers.add(name, value)
        to = self.request.headers.get("To")
        if not self.request.to_tag and status > 100:
            to = f"{to};tag={self.local_tag}"
        response.headers.add("To", to)
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.headers.add("Content-Type", "application/sdp")
        self._last = response.encode()
        self._layer.spawn(self._layer.transport.send(self._last, self.source))
        if status >= 200:
            self.final_status = status
            if self.request.method == "INVITE" and (not self._layer.transport.reliable or status < 300):
                self._layer.spawn(self._repeat(self._last))

    def repeat(self) -> None:
        """Answers a repeated request as before."""
        if self._last is not None:
            self._layer.spawn(self._layer.transport.send(self._last, self.source))

    async def _repeat(self, data: bytes) -> None:
        wait, left = T1_SECONDS, TIMEOUT_SECONDS
        while left > 0:
            try:
                async with asyncio.timeout(wait):
                    await self.acknowledged.wait()
                    return
            except TimeoutError:
                await self._layer.transport.send(data, self.source)
            left -= wait
            wait = min(2 * wait, T2_SECONDS)


class TransactionLayer:
    """Pairs requests and responses over one transport."""

    transport: Transport

    def __init__(self, on_request: Callable[[ServerTransaction], None]) -> None:
        self._on_request = on_request
        self._clients: OrderedDict[tuple[str, str], ClientTransaction] = OrderedDict()
        self._servers: OrderedDict[tuple[str, str], ServerTransaction] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something that ends with this layer."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a broken connection shows as a request without an answer

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transport.close()

    async def send(self, request: Request, to: Address) -> ClientTransaction:
        """Begins a transaction; the request's topmost Via must carry its branch."""
        transaction = ClientTransaction(request, to)
        self._clients[(request.branch, request.method)] = transaction
        _forget(self._clients)
        data = request.encode()
        await self.transport.send(data, to)
        if not self.transport.reliable:
            self.spawn(self._retransmit(transaction, data))
        return transaction

    async def send_once(self, request: Request, to: Address) -> None:
        """An ACK: nobody answers it."""
        await self.transport.send(request.encode(), to)

    async def _retransmit(self, transaction: ClientTransaction, data: bytes) -> None:
        invite = transaction.request.method == "INVITE"
        wait, left = T1_SECONDS, TIMEOUT_SECONDS
        while left > 0:
            await asyncio.sleep(wait)
            if transaction.done or (invite and transaction.provisional.is_set()):
                return
            await self.transport.send(data, transaction.to)
            left -= wait
            wait = 2 * wait if invite else min(2 * wait, T2_SECONDS)

    def receive(self, message: Request | Response, source: Address) -> None:
        """Takes a message off the wire."""
        if isinstance(message, Response):
            transaction = self._clients.get((message.branch, message.cseq[1]))
            if transaction is not None:
                if message.cseq[1] == "INVITE" and message.status >= 300:
                    self.spawn(self.send_once(_ack_for_failure(transaction.request, message), transaction.to))
                transaction.deliver(message)
            return
        method = "INVITE" if message.method == "ACK" else message.method
        known = self._servers.get((message.branch, method))
        if message.method == "ACK" and known is not None:
            known.acknowledged.set()
        elif known is not None:
            known.repeat()
        else:
            server = ServerTransaction(message, source, self)
            if message.method != "ACK":
                self._servers[(message.branch, method)] = server
                _forget(self._servers)
            self._on_request(server)

    def invitation(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL means."""
        return self._servers.get((cancel.branch, "INVITE"))


def _ack_for_failure(request: Request, response: Response) -> Request:
    ack = Request(headers=Headers(), method="ACK", uri=request.uri)
    for name in ("Via", "Max-Forwards", "Route", "From", "Call-ID"):
        for value in request.headers.all(name):
            ack.headers.add(name, value)
    ack.headers.add("To", response.headers.get("To"))
    ack.headers.add("CSeq", f"{request.cseq[0]} ACK")
    return ack


def _forget(transactions: OrderedDict[Any, Any]) -> None:
    while len(transactions) > _REMEMBERED:
        transactions.popitem(last=False)
