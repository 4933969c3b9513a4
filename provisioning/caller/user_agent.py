"""A small SIP telephone for tests, demo and benchmarks: places calls, takes calls, registers (RFC 3261).

It is not the product's gateway. It exists because the measurements need to know when each RTP packet passed
the kernel (docs/adr/0070-own-test-caller.md).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from appliance.errors import InvalidInput, Unavailable
from provisioning.caller import sdp
from provisioning.caller.digest import CHALLENGES, answer_challenge
from provisioning.caller.leg import CallFailed, Leg
from provisioning.caller.placing import place
from provisioning.caller.requests import answer_in_dialog
from provisioning.caller.sip_message import Headers, NameAddress, Request, Response, SipUri
from provisioning.caller.transactions import (
    ServerTransaction,
    TransactionLayer,
    new_branch,
)
from provisioning.caller.transport import Address, StreamTransport, TransportName, UdpTransport


class SipCaller:
    """`async with SipCaller(local_port) as caller: leg = await caller.call("sip:NUMBER@HOST:PORT")`.

    `local_port` 0 takes any. Calls that come in wait in `next_call`, or are refused at once with
    `refuse_with`. At the end every call is hung up and every port free.
    """

    def __init__(
        self,
        local_port: int = 0,
        *,
        host: str = "127.0.0.1",
        user: str = "caller",
        display: str = "",
        transport: TransportName = "udp",
        codecs: list[str] | None = None,
        auth: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        tls_name: str | None = None,
        refuse_with: int | None = None,
    ) -> None:
        self.host, self.user, self.display = host, user, display
        self.codecs = codecs or ["ulaw", "alaw", "g722"]
        self.refuse_with = refuse_with
        self.legs: dict[str, Leg] = {}
        self._port, self._transport, self._auth = local_port, transport, auth
        self._tls, self._tls_name = tls, tls_name
        self._incoming: asyncio.Queue[Leg] = asyncio.Queue(maxsize=100)
        self.layer = TransactionLayer(self._on_request)

    async def __aenter__(self) -> Self:
        if self._transport == "udp":
            self.layer.transport = await UdpTransport.open(self.host, self._port, self.layer.receive)
        else:
            tls = (self._tls or ssl.create_default_context()) if self._transport == "tls" else None
            self.layer.transport = await StreamTransport.open(
                self.host, self._port, self.layer.receive, tls, self._tls_name
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(leg.hangup(3) for leg in list(self.legs.values())), return_exceptions=True)
        for leg in list(self.legs.values()):
            leg.finish()
        await self.layer.close()

    @property
    def port(self) -> int:
        """The SIP port."""
        return self.layer.transport.port

    @property
    def contact(self) -> str:
        suffix = "" if self._transport == "udp" else f";transport={self._transport}"
        return f"sip:{self.user}@{self.host}:{self.port}{suffix}"

    # --- what we begin ------------------------------------------------------------------------------------

    async def call(
        self,
        uri: str,
        *,
        codec: str | list[str] = "ulaw",
        auth: tuple[str, str] | None = None,
        from_user: str | None = None,
        headers: Mapping[str, str] | None = None,
        silent: bool = False,
    ) -> Leg:
        """Sends an INVITE and returns its leg at once. `silent` sends no RTP at all (`leg.media.silent`)."""
        target = SipUri.parse(uri)
        leg = Leg(self, call_id=f"{secrets.token_hex(12)}@{self.host}", direction="out")
        leg.auth = auth or self._auth
        leg.media.silent = silent
        leg.local_tag = secrets.token_hex(6)
        user = self.user if from_user is None else from_user
        leg.local_uri = f"sip:{user}@{self.host}"
        leg.remote_uri, leg.remote_target = f"sip:{target.user}@{target.host}", uri
        self.legs[leg.call_id] = leg
        codecs = [codec] if isinstance(codec, str) else codec
        try:
            body = sdp.offer(self.host, leg.media.port, codecs).encode()
        except InvalidInput:
            leg.finish()
            raise
        self.layer.spawn(place(self, leg, dict(headers or {}), body))
        return leg

    async def register(
        self,
        registrar: str,
        user: str,
        password: str,
        *,
        expires_seconds: int = 60,
        timeout_seconds: float = 10,
    ) -> int:
        """Registers our contact (0 s: removes it); the expiry granted. CallFailed if refused."""
        request = self._outside("REGISTER", registrar, user)
        request.headers.add("Contact", f"<{self.contact.replace(self.user + '@', user + '@', 1)}>")
        request.headers.add("Expires", str(expires_seconds))
        response = await self.ask(request, registrar, auth=(user, password), timeout_seconds=timeout_seconds)
        if response.status >= 300:
            raise CallFailed(
                f"The registration was refused: {response.status} {response.reason}.", response.status
            )
        granted = response.headers.get("Expires") or str(expires_seconds)
        return int(granted) if granted.isdigit() else expires_seconds

    async def options(self, uri: str, *, timeout_seconds: float = 10) -> Response:
        """Asks what is there; the final response. Unavailable without any."""
        return await self.ask(self._outside("OPTIONS", uri, self.user), uri, timeout_seconds=timeout_seconds)

    async def ask(
        self, request: Request, uri: str, *, auth: tuple[str, str] | None = None, timeout_seconds: float = 32
    ) -> Response:
        """A request outside of calls, with one answer to a digest challenge."""
        target = SipUri.parse(uri)
        to = (target.host, target.port)
        response = await (await self.layer.send(request, to)).final(timeout_seconds)
        if response.status in CHALLENGES and auth is not None:
            request.headers.set("Via", self.via())
            number, method = request.cseq
            request.headers.set("CSeq", f"{number + 1} {method}")
            answer_challenge(request, response, auth)
            response = await (await self.layer.send(request, to)).final(timeout_seconds)
        return response

    # --- within a call ------------------------------------------------------------------------------------

    async def acknowledge(self, leg: Leg, number: int) -> None:
        """Sends the ACK of a 2xx."""
        await self.layer.send_once(self.build(leg, "ACK", number), self.destination(leg))

    async def transact(self, request: Request, leg: Leg, *, timeout_seconds: float = 32) -> Response:
        """A request within the call and its final response; a re-INVITE's 2xx is acknowledged."""
        to = self.destination(leg)
        response = await (await self.layer.send(request, to)).final(timeout_seconds)
        if response.status in CHALLENGES and leg.auth is not None:
            leg.cseq += 1
            request.headers.set("Via", self.via())
            request.headers.set("CSeq", f"{leg.cseq} {request.method}")
            answer_challenge(request, response, leg.auth)
            response = await (await self.layer.send(request, to)).final(timeout_seconds)
        if request.method == "INVITE" and response.status < 300:
            leg.learn_dialog(response)
            await self.acknowledge(leg, request.cseq[0])
        return response

    def build(self, leg: Leg, method: str, number: int) -> Request:
        """A request of the leg's dialog."""
        request = Request(headers=Headers(), method=method, uri=leg.remote_target)
        add = request.headers.add
        add("Via", self.via())
        add("Max-Forwards", "70")
        for route in leg.route:
            add("Route", route.strip())
        name = f'"{self.display}" ' if self.display else ""
        add("From", f"{name}<{leg.local_uri}>;tag={leg.local_tag}")
        add("To", f"<{leg.remote_uri}>" + (f";tag={leg.remote_tag}" if leg.remote_tag else ""))
        add("Call-ID", leg.call_id)
        add("CSeq", f"{number} {method}")
        add("Contact", f"<{self.contact}>")
        add("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, NOTIFY")
        add("User-Agent", "trunkline-caller")
        return request

    def forget(self, leg: Leg) -> None:
        self.legs.pop(leg.call_id, None)

    def _outside(self, method: str, uri: str, user: str) -> Request:
        target = SipUri.parse(uri)
        request = Request(headers=Headers(), method=method, uri=uri)
        who = f"sip:{user}@{target.host}"
        to = who if method == "REGISTER" else uri
        for name, value in (
            ("Via", self.via()),
            ("Max-Forwards", "70"),
            ("From", f"<{who}>;tag={secrets.token_hex(6)}"),
            ("To", f"<{to}>"),
            ("Call-ID", f"{secrets.token_hex(12)}@{self.host}"),
            ("CSeq", f"1 {method}"),
            ("User-Agent", "trunkline-caller"),
        ):
            request.headers.add(name, value)
        return request

    def via(self) -> str:
        """A Via of ours with a fresh branch."""
        return f"SIP/2.0/{self._transport.upper()} {self.host}:{self.port};branch={new_branch()};rport"

    def destination(self, leg: Leg) -> Address:
        """Where the leg's next request goes: its first route, or its target."""
        first = leg.route[0] if leg.route else ""
        target = SipUri.parse(NameAddress.parse(first).uri if first else leg.remote_target)
        return target.host, target.port

    # --- what the other side begins -----------------------------------------------------------------------

    async def next_call(self, timeout: float = 30) -> Leg:
        """Waits for a call to come in; it has not been answered yet."""
        try:
            async with asyncio.timeout(timeout):
                return await self._incoming.get()
        except TimeoutError as error:
            raise Unavailable(f"No call came in within {timeout:g} s.") from error

    def _on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        leg = self.legs.get(request.call_id)
        if leg is not None and (request.to_tag or request.method == "CANCEL"):
            answer_in_dialog(leg, transaction, self.layer)
        elif request.method == "INVITE" and not request.to_tag:
            self._invited(transaction)
        elif request.method in ("OPTIONS", "NOTIFY"):
            transaction.respond(200)
        elif request.method == "CANCEL" or request.to_tag:
            if request.method != "ACK":
                transaction.respond(481)
        elif request.method != "ACK":
            transaction.respond(405)

    def _invited(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        transaction.respond(100)
        if self.refuse_with is not None:
            transaction.respond(self.refuse_with)
            return
        if self._incoming.full():
            transaction.respond(503)
            return
        leg = Leg(self, call_id=request.call_id, direction="in")
        leg.invitation, leg.headers = transaction, request.headers
        leg.local_tag, leg.remote_tag = transaction.local_tag, request.from_tag
        leg.local_uri = NameAddress.parse(request.headers.get("To")).uri
        leg.remote_uri = NameAddress.parse(request.headers.get("From")).uri
        leg.route = [item for value in request.headers.all("Record-Route") for item in value.split(",")]
        try:
            leg.learn_dialog(request)
        except InvalidInput:
            transaction.respond(400)
            leg.media.close()
            return
        self.legs[leg.call_id] = leg
        leg.ring()
        self._incoming.put_nowait(leg)
