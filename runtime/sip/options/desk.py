"""Tests trunks: finds the addresses that a trunk has, asks each, and says what came of it.

Nothing but a trunk's own addresses is ever asked: the one who wants a test names a trunk, never a host.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import structlog

from appliance.errors import AtCapacity, NotFound, Unavailable
from appliance.telephony.domain import GatewayConfiguration, Trunk
from appliance.telephony.trunk_test_domain import Outcome, Probed, TrunkTestResult, advice
from runtime.sip.gateway.addresses import HostPort
from runtime.sip.gateway.pjsip import targets_of
from runtime.sip.options.asking import Heard, ask
from runtime.sip.options.message import Question

log = structlog.get_logger()

ANSWER_SECONDS: Final = 5.0
NAME_SECONDS: Final = 3.0
MOST_AT_ONCE: Final = 4
_MOST_ADDRESSES: Final = 4
"""Of one name; there are at most five names (`TrunkInput.outbound_proxies`)."""
_USUAL_PORT: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}


class ToolApi(Protocol):
    """What is needed of the client of the tool API."""

    async def gateway(self) -> GatewayConfiguration: ...


class TestDesk:
    """`trusted`: the authorities by which the gateway judges certificates; None: the system's. Close it."""

    __test__ = False  # not one of pytest's

    def __init__(
        self, tool_api: ToolApi, *, trusted: Path | None = None, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._tool_api = tool_api
        self._trusted = trusted
        self._answer_seconds = answer_seconds
        self._running: set[UUID] = set()
        # Its own threads: a name server that hangs must not hold up the rest of the bridge.
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="trunk-names")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def test(self, trunk_id: UUID) -> TrunkTestResult:
        """Asks every address of the trunk at once; lasts at most `NAME_SECONDS` and the seconds of an answer.

        Raises NotFound, AtCapacity while this trunk or too many others are being tested, InvalidInput for a
        trunk whose host cannot be one, Unavailable, and the errors of the tool API.
        """
        if trunk_id in self._running or len(self._running) >= MOST_AT_ONCE:
            raise AtCapacity("A test is going on.", retry_after_seconds=5, remedy="Try again in a moment.")
        self._running.add(trunk_id)
        try:
            configuration = await self._tool_api.gateway()
            trunk = next((each for each in configuration.trunks if each.id == trunk_id), None)
            if trunk is None:
                raise NotFound("The trunk does not exist.")
            return await self._test(trunk)
        finally:
            self._running.discard(trunk_id)

    async def _test(self, trunk: Trunk) -> TrunkTestResult:
        targets = targets_of(trunk)
        if not targets:
            raise NotFound("The trunk has no host that could be asked.")
        tls = await asyncio.to_thread(self._tls) if trunk.transport == "tls" else None
        checked_at = datetime.now(UTC)
        of_targets = await asyncio.gather(*(self._ask_target(trunk, target, tls) for target in targets))
        probes = tuple(probe for of_target in of_targets for probe in of_target)
        answered = any(probe.outcome == "answered" for probe in probes)
        log.info("trunk tested", trunk_id=str(trunk.id), outcomes=[probe.outcome for probe in probes])
        return TrunkTestResult(
            trunk_answered=answered,
            checked_at=checked_at,
            transport=trunk.transport,
            waited_seconds=self._answer_seconds,
            probes=probes,
        )

    def _tls(self) -> ssl.SSLContext:
        """Judges as the gateway does: its authorities, TLS 1.2 or later, and the name."""
        context = ssl.create_default_context()
        if self._trusted is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                context.load_verify_locations(cafile=self._trusted)
            except OSError as error:  # an SSLError too
                raise Unavailable(
                    "The authorities that the gateway trusts cannot be read.",
                    remedy=f"Look at {self._trusted.name} of the gateway.",
                ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    async def _ask_target(self, trunk: Trunk, target: HostPort, tls: ssl.SSLContext | None) -> list[Probed]:
        port = target.port or _USUAL_PORT[trunk.transport]
        hosts = await self._addresses(target.host.strip("[]"))
        if not hosts:
            return [self._told(target, None, Heard("unresolved"))]
        heard = await asyncio.gather(
            *(
                ask(Question.of(trunk, target), (host, port), tls=tls, seconds=self._answer_seconds)
                for host in hosts
            )
        )
        return [
            self._told(target, HostPort(f"[{host}]" if ":" in host else host, port), each)
            for host, each in zip(hosts, heard, strict=True)
        ]

    async def _addresses(self, host: str) -> list[str]:
        """The addresses as the gateway finds them: A and AAAA alone, no SRV."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        look_up = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        try:
            async with asyncio.timeout(NAME_SECONDS):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except (OSError, TimeoutError, UnicodeError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_MOST_ADDRESSES]

    def _told(self, target: HostPort, address: HostPort | None, heard: Heard) -> Probed:
        outcome: Outcome = heard.outcome
        status = heard.answer.status if heard.answer else None
        return Probed(
            target=str(target),
            address=None if address is None else str(address),
            outcome=outcome,
            sip_status=status,
            sip_reason=heard.answer.reason if heard.answer else "",
            round_trip_ms=heard.round_trip_ms,
            advice=advice(outcome, sip_status=status, seconds=self._answer_seconds, detail=heard.detail),
        )
