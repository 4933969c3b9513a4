"""Hosts, networks and SIP addresses of trunks, checked before they reach a configuration file."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from appliance.errors import InvalidInput

_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?"
)
_PROXY = re.compile(
    r"(?:(?P<scheme>sips?):)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:;<>@/]+)(?::(?P<port>\d{1,5}))?"
    r"(?P<parameters>(?:;(?:lr|transport=(?:udp|tcp|tls)))*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\+?[0-9*#]{1,40}")


@dataclass(frozen=True)
class HostPort:
    """Where SIP is spoken; `host` as it is written in a URI (IPv6 in brackets)."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def checked_host(host: str, *, field: str) -> str:
    """A host name or an address as a URI takes it. InvalidInput otherwise."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise InvalidInput(f"{field} is neither a host name nor an address.", field=field) from None
        return host
    return f"[{address}]" if address.version == 6 else str(address)


def checked_network(text: str, *, field: str) -> str:
    """An address or network as `identify` and `permit` take it. InvalidInput for anything else, names too:
    they would be looked up whenever the gateway loads its configuration."""
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise InvalidInput(f"{field} must hold addresses or networks.", field=field) from None


def parse_proxy(uri: str, *, field: str = "outbound_proxies") -> HostPort:
    """Host and port of `sip:host:port;lr`, of `host:port` or of `host`. InvalidInput otherwise."""
    found = _PROXY.fullmatch(uri.strip())
    if found is None:
        raise InvalidInput(f"{field} must hold SIP addresses such as sip:proxy.example:5060.", field=field)
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise InvalidInput(f"{field} holds a port that does not exist.", field=field)
    return HostPort(checked_host(found["host"], field=field), port)


def user_part(user: str) -> str:
    """The user part of a SIP URI, escaped as RFC 3261 section 25.1 asks."""
    return quote(user, safe="!*'()&=+$,?/")


def overflow_uri(overflow: str, domain: str | None) -> str:
    """The SIP URI to which a call is redirected: `overflow` itself, or a number at the trunk's own domain.

    InvalidInput for what is neither a plain SIP URI nor a number, and for a number without a domain.
    """
    text = overflow.strip()
    found = re.fullmatch(r"(?:(sips?):)?([A-Za-z0-9+*#._=-]{1,80})@([^@]+)", text)
    if found is not None:
        return f"{found[1] or 'sip'}:{found[2]}@{parse_proxy(found[3], field='overflow')}"
    if not _NUMBER.fullmatch(text) or domain is None:
        raise InvalidInput(
            "The overflow must be a SIP address, or a number on a trunk with a host.", field="overflow"
        )
    return f"sip:{text}@{domain}"
