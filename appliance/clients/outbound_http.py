"""Requests to addresses that members typed in: the organization's own programs, and nothing inside the box.

The name is resolved once, every address of it is checked, and the connection goes to the checked address: a
name that resolves differently a moment later changes nothing. No redirect is followed, no proxy is asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from appliance.errors import InvalidInput, NotAllowed, Unavailable

MAX_ANSWER_BYTES = 64 * 1024
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_REMEDY = "The site's settings name the networks that are allowed (outbound.allowed_networks)."


@dataclass(frozen=True)
class Answered:
    """`body` is cut at 64 KiB, and `cut` says so."""

    status: int
    body: bytes
    cut: bool
    duration_ms: int


@dataclass(frozen=True)
class OutboundHttp:
    """`allowed` are networks of the site that may be reached although they are not public."""

    allowed: tuple[Network, ...] = field(default=())

    @classmethod
    def of(cls, networks: Sequence[str]) -> OutboundHttp:
        return cls(tuple(ipaddress.ip_network(each) for each in networks))

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_seconds: float,
    ) -> Answered:
        """Raises InvalidInput for what is no address of the web, NotAllowed for one that may not be reached,
        Unavailable when nothing answers in time."""
        checked_url(url)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                address = await self._resolve(url)
                status, body, cut = await _exchange(
                    method, url, address, headers or {}, content, timeout_seconds
                )
        except TimeoutError as error:
            raise Unavailable(f"There was no answer within {timeout_seconds:g} s.", code="timeout") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable(
                f"The address does not answer ({type(error).__name__}).", code="unreachable"
            ) from error
        return Answered(status, body, cut, int((time.monotonic() - started) * 1000))

    async def _resolve(self, url: str) -> Address:
        parts = urlsplit(url)
        assert parts.hostname is not None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(each[4][0]) for each in found]
        for address in addresses:
            self.check(address, secure=parts.scheme == "https")
        return addresses[0]

    def check(self, address: Address, *, secure: bool) -> None:
        """NotAllowed for an address that is not public and not allowed by the site, and for plain HTTP to one
        that is public."""
        inner = getattr(address, "ipv4_mapped", None) or address
        if any(inner.version == network.version and inner in network for network in self.allowed):
            return
        if not inner.is_global or inner.is_multicast or _translated(inner):
            raise NotAllowed(
                "The address lies in a network that may not be reached from here.",
                remedy=_REMEDY,
                code="address_refused",
            )
        if not secure:
            raise NotAllowed("A public address is only reached by https.", remedy=_REMEDY, code="plain_http")


def checked_url(url: str) -> str:
    """The URL. InvalidInput for what is not plain http(s), and for one with a user name or a fragment."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or 0 < parts.port < 65536
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError) as error:
        raise InvalidInput("The address is not a URL.", field="url") from error
    good = parts.scheme in {"http", "https"} and host and port_fits
    if not good or not url.isprintable() or " " in url:
        raise InvalidInput("The address must be a URL that begins with https:// or http://.", field="url")
    if parts.username is not None or parts.fragment:
        raise InvalidInput("The address must have no user name and no fragment.", field="url")
    return url


def _translated(address: Address) -> bool:
    """IPv6 addresses that are IPv4 ones in disguise (6to4, Teredo, NAT64)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return False
    nat64 = ipaddress.ip_network("64:ff9b::/96")
    return address.sixtofour is not None or address.teredo is not None or address in nat64


async def _exchange(
    method: str,
    url: str,
    address: Address,
    headers: Mapping[str, str],
    content: bytes | None,
    timeout_seconds: float,
) -> tuple[int, bytes, bool]:
    target = httpx.URL(url)
    pinned = target.copy_with(host=str(address))
    host = target.netloc.decode()
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=timeout_seconds) as client,
        client.stream(
            method,
            pinned,
            headers={"User-Agent": "Trunkline", **headers, "Host": host},
            content=content,
            extensions={"sni_hostname": target.host},
        ) as answer,
    ):
        body, cut = bytearray(), False
        async for piece in answer.aiter_bytes(8192):
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                cut = True
                break
        return answer.status_code, bytes(body[:MAX_ANSWER_BYTES]), cut
