"""Where requests of members may go."""

from __future__ import annotations

import ipaddress

import pytest

from appliance.clients.outbound_http import OutboundHttp, checked_url
from appliance.errors import InvalidInput, NotAllowed

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
    *("224.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::1"),
    *("2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:7f00:1::"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        OutboundHttp().check(ipaddress.ip_address(address), secure=True)
    assert refused.value.code == "address_refused"


def test_what_the_site_allows_is_reached_also_without_tls() -> None:
    site = OutboundHttp.of(["10.1.0.0/16", "fc00::/8"])
    site.check(ipaddress.ip_address("10.1.2.3"), secure=False)
    site.check(ipaddress.ip_address("::ffff:10.1.2.3"), secure=False)
    site.check(ipaddress.ip_address("fc00::1"), secure=False)
    with pytest.raises(NotAllowed):
        site.check(ipaddress.ip_address("10.2.0.1"), secure=True)


def test_public_addresses_are_reached_by_tls_alone() -> None:
    OutboundHttp().check(ipaddress.ip_address("1.1.1.1"), secure=True)
    with pytest.raises(NotAllowed) as refused:
        OutboundHttp().check(ipaddress.ip_address("1.1.1.1"), secure=False)
    assert refused.value.code == "plain_http"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "https://",
            "example.com",
            "https://user:pass@example.com/",
            "file:///etc/passwd",
        ),
        *("https://example.com/#x", "https://example.com:99999/", "https://exa mple.com/", "https://[::1/"),
        *("javascript:alert(1)", "https://example.com/\r\nHost: x", "gopher://example.com"),
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        checked_url(url)


async def test_a_name_that_means_the_box_is_refused() -> None:
    with pytest.raises(NotAllowed):
        await OutboundHttp().send("GET", "https://localhost/", timeout_seconds=30)
