"""The ports of the lite profile: each part listens on loopback at `base + offset`."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import InvalidInput

DEFAULT_BASE = 17000
SPAN = 400

OFFSETS = {
    "postgres": 0,
    "redis": 1,
    "livekit": 2,
    "livekit_rtc_tcp": 3,
    "livekit_rtc_udp": 4,
    "minio": 5,
    "asterisk": 6,
    "asterisk_tls": 7,
    "ari": 8,
    "bridge_audiosocket": 9,
    "speech": 10,
    "dialogue": 11,
    "tool_api": 12,
    "worker": 13,
    "bridge": 14,
    "jobs": 15,
    "triton": 20,
    "triton_http": 21,
    "triton_metrics": 22,
    "voice": 23,
    "voice_health": 24,
    "language": 25,
    "keycloak": 30,
    "keycloak_management": 31,
    "console": 32,
    "rtp_first": 100,
    "rtp_last": 399,
}


@dataclass(frozen=True)
class Ports:
    """All ports of one box; `ports["asterisk"]` is the SIP port (UDP and TCP)."""

    base: int

    def __post_init__(self) -> None:
        if not 1024 <= self.base <= 65535 - SPAN:
            raise InvalidInput(
                f"{self.base} cannot be the first port of a box.",
                field="port_base",
                remedy=f"Take one between 1024 and {65535 - SPAN}.",
            )

    def __getitem__(self, name: str) -> int:
        return self.base + OFFSETS[name]
