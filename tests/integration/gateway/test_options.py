"""The OPTIONS test of a trunk, against a PBX that answers, ports that refuse or are silent, and rubbish."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest

from appliance.errors import AtCapacity, NotFound, Unavailable
from appliance.telephony.domain import GatewayConfiguration, Trunk
from appliance.telephony.trunk_test_domain import Probed, TrunkTestResult
from provisioning.lite.asterisk_certificates import make_certificates
from runtime.sip.options import TestDesk
from tests.fixtures.pbx import CompanyPbx
from tests.integration.gateway.conftest import COMPANY, PBX_ADDRESS, PBX_BASE, PHONE, until, world

SECONDS = 30.0
"""For one that answers, however busy the machine."""
SILENT_SECONDS = 1.5


class ToolApi:
    """Says which trunks there are, as the real one does."""

    def __init__(self, *trunks: Trunk) -> None:
        self.trunks = trunks

    async def gateway(self) -> GatewayConfiguration:
        return world(*self.trunks)


async def result_of(
    trunk: Trunk, *, trusted: Path | None = None, seconds: float = SECONDS
) -> TrunkTestResult:
    with contextlib.closing(TestDesk(ToolApi(trunk), trusted=trusted, answer_seconds=seconds)) as desk:
        return await desk.test(trunk.id)


async def only(trunk: Trunk, *, trusted: Path | None = None, seconds: float = SECONDS) -> Probed:
    """The one address that was asked."""
    result = await result_of(trunk, trusted=trusted, seconds=seconds)
    assert len(result.probes) == 1
    assert result.trunk_answered == (result.probes[0].outcome == "answered")
    return result.probes[0]


def at(port: int, transport: str = "udp", host: str = "127.0.0.1", **more: object) -> Trunk:
    return COMPANY.model_copy(update={"host": host, "port": port, "transport": transport, **more})


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# A PBX that is there


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_pbx_answers(pbx: CompanyPbx, transport: str) -> None:
    port = PBX_BASE + 1 if transport == "tls" else PBX_BASE
    authority = pbx.plan.directory / "tls" / "ca.crt"
    probe = await only(at(port, transport, PBX_ADDRESS), trusted=authority)
    assert (probe.outcome, probe.address) == ("answered", f"{PBX_ADDRESS}:{port}")
    assert probe.sip_status is not None
    assert probe.advice.startswith("It ")
    assert probe.sip_status != 401  # it knows this address
    # By UDP unknown only if the machine was so busy that the question was repeated.
    assert probe.round_trip_ms is None if probe.round_trip_ms is None else probe.round_trip_ms > 0
    if transport != "udp":
        assert probe.round_trip_ms is not None


async def test_a_pbx_that_knows_us_not_is_still_there(pbx: CompanyPbx) -> None:
    """It knows the gateway by 127.0.0.1 alone, and asks any other for a password."""
    pbx.plan.trunks_dir.joinpath("pjsip_trunks.conf").write_text(
        pbx._objects().replace("match = 127.0.0.1", "match = 127.0.0.99"), encoding="utf-8"
    )
    pbx.console("module reload res_pjsip.so")
    pbx.console("module reload res_pjsip_endpoint_identifier_ip.so")
    try:
        probe = await _asked_for_a_password()
    finally:
        pbx.restart()
    assert probe.sip_reason == "Unauthorized"
    assert "password" in probe.advice


async def _asked_for_a_password() -> Probed:
    probes: list[Probed] = []

    async def is_asked() -> bool:
        probes.append(await only(at(PBX_BASE, "udp", PBX_ADDRESS)))
        return probes[-1].sip_status == 401

    await until(is_asked, "the PBX asks for a password")
    return probes[-1]


async def test_a_name_with_many_proxies_is_asked_at_each(pbx: CompanyPbx) -> None:
    closed = free_port(socket.SOCK_DGRAM)
    proxies = (f"sip:{PBX_ADDRESS}:{PBX_BASE};lr", f"sip:127.0.0.1:{closed};lr", "sip:no-such-name.invalid")
    result = await result_of(at(5060, outbound_proxies=proxies))
    assert result.trunk_answered
    assert [probe.outcome for probe in result.probes] == ["answered", "refused", "unresolved"]


async def test_a_certificate_is_judged_as_the_gateway_judges_it(pbx: CompanyPbx, tmp_path: Path) -> None:
    tls = pbx.plan.directory / "tls"
    foreign, ours = tmp_path / "foreign", tmp_path / "ours"
    foreign.mkdir()
    ours.mkdir()
    # Not the authority that made it.
    make_certificates(foreign)
    probe = await only(at(PBX_BASE + 1, "tls", PBX_ADDRESS), trusted=foreign / "ca.crt")
    assert (probe.outcome, probe.sip_status) == ("tls_untrusted", None)
    assert "trusted.pem" in probe.advice
    # The right one, and a certificate for another name than we call.
    for name in ("ca.crt", "ca.key"):
        shutil.copy(tls / name, ours / name)
    make_certificates(ours, "pbx.example")
    async with tls_server(ours) as port:
        probe = await only(at(port, "tls", PBX_ADDRESS), trusted=tls / "ca.crt")
        assert probe.outcome == "tls_name"
        assert "Enter as host the name" in probe.advice
    # Nothing of TLS there.
    probe = await only(at(PBX_BASE, "tls", PBX_ADDRESS), trusted=tls / "ca.crt", seconds=SILENT_SECONDS)
    assert probe.outcome in {"tls_failed", "closed", "no_answer"}
    with pytest.raises(Unavailable):
        await result_of(at(PBX_BASE + 1, "tls", PBX_ADDRESS), trusted=tmp_path / "nowhere.pem")


# Nobody, or somebody strange


@pytest.mark.parametrize(
    ("transport", "kind"),
    [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM), ("tls", socket.SOCK_STREAM)],
)
async def test_a_port_that_refuses(transport: str, kind: socket.SocketKind) -> None:
    probe = await only(at(free_port(kind), transport))
    assert (probe.outcome, probe.sip_status, probe.round_trip_ms) == ("refused", None, None)
    assert "Nothing listens there" in probe.advice


@pytest.mark.parametrize(
    ("transport", "kind"),
    [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM), ("tls", socket.SOCK_STREAM)],
)
async def test_a_port_that_is_silent(transport: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as silent:
        silent.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            silent.listen()
        probe = await only(at(silent.getsockname()[1], transport), seconds=SILENT_SECONDS)
    assert (probe.outcome, probe.sip_status) == ("no_answer", None)
    assert "No answer in 1.5 s" in probe.advice


async def test_a_name_that_does_not_resolve() -> None:
    for host in ("no-such-name.invalid", "a" * 100 + ".invalid"):
        probe = await only(at(5060, host=host))
        assert (probe.outcome, probe.address) == ("unresolved", None)


def saying(text: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(text)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    return say


@contextlib.asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "gateway.crt", folder / "gateway.key")
    server = await asyncio.start_server(saying(b""), PBX_ADDRESS, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (b"", "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not_sip"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "not_sip"),
        (b"SIP/2.0 200 OK\r\nCall-ID: another\r\n\r\n", "not_sip"),
        (b"\r\n\r\n" * 500, "not_sip"),
        (b"x" * 1_000_000, "not_sip"),
        (b"\x00\xff\r\n\r\n", "not_sip"),
    ],
)
async def test_something_else_listens_there(text: bytes, outcome: str) -> None:
    server = await asyncio.start_server(saying(text), "127.0.0.1", 0)
    async with server:
        probe = await only(at(server.sockets[0].getsockname()[1], "tcp"))
    assert (probe.outcome, probe.sip_status) == (outcome, None)


async def test_rubbish_by_datagrams_is_no_answer_and_an_answer_after_it_is_one() -> None:
    """The first copy is answered by rubbish and by `Trying`, the second by 503: whose time is not known."""
    loop = asyncio.get_running_loop()

    class Strange(asyncio.DatagramProtocol):
        def __init__(self, statuses: list[list[bytes]]) -> None:
            self.statuses = statuses

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for first in self.statuses.pop(0) if self.statuses else [b"rubbish"]:
                self.transport.sendto(first + data[data.index(b"\r\n") :], addr)  # type: ignore[attr-defined]

    for statuses, outcome, status in (
        ([[b"rubbish", b"SIP/2.0 100 Trying"], [b"SIP/2.0 503 Busy"]], "answered", 503),
        ([], "not_sip", None),
    ):
        transport, _ = await loop.create_datagram_endpoint(
            lambda statuses=statuses: Strange(statuses), local_addr=("127.0.0.1", 0)
        )
        try:
            port = transport.get_extra_info("sockname")[1]
            probe = await only(at(port), seconds=SECONDS if status else SILENT_SECONDS)
        finally:
            transport.close()
        assert (probe.outcome, probe.sip_status, probe.round_trip_ms) == (outcome, status, None)


# Bounds


async def test_a_trunk_is_tested_once_at_a_time_and_nobody_elses_address_ever() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        trunk = at(silent.getsockname()[1])
        with contextlib.closing(TestDesk(ToolApi(trunk, PHONE), answer_seconds=SILENT_SECONDS)) as desk:
            first = asyncio.create_task(desk.test(trunk.id))
            await asyncio.sleep(0)
            with pytest.raises(AtCapacity):
                await desk.test(trunk.id)
            assert (await first).probes[0].outcome == "no_answer"
            assert (await desk.test(trunk.id)).probes[0].outcome == "no_answer"
            for nobody in (UUID(int=404), PHONE.id):  # the second has no host
                with pytest.raises(NotFound):
                    await desk.test(nobody)
