"""Trunks, numbers and opening hours."""

from __future__ import annotations

from datetime import date, time
from typing import Literal
from uuid import UUID

from pydantic import Field

from appliance.wire import ShortText, WireModel

Transport = Literal["udp", "tcp", "tls"]
Srtp = Literal["off", "optional", "required"]
Codec = Literal["ulaw", "alaw", "g722", "opus"]


class Credentials(WireModel):
    """Digest credentials; the password is kept out of `repr` and so out of logs."""

    username: ShortText
    password: str = Field(repr=False)


class Trunk(WireModel):
    """One way to and from the telephone network: a PBX, a provider, or a softphone's account."""

    id: UUID
    organization_id: UUID
    name: ShortText
    transport: Transport = "udp"
    host: str | None = None
    """Where calls are sent and registration goes; None: calls come in only."""
    port: int | None = Field(default=None, ge=1, le=65535)
    match: tuple[str, ...] = ()
    """Source addresses or networks whose requests belong to this trunk."""
    auth: Credentials | None = None
    """What we show to the other side."""
    inbound_auth: Credentials | None = None
    """What the other side must show to us."""
    register_at_host: bool = Field(default=False, alias="register")
    outbound_proxies: tuple[str, ...] = ()
    srtp: Srtp = "off"
    codecs: tuple[Codec, ...] = ("alaw", "ulaw")
    qualify_seconds: int = Field(default=30, ge=0)
    max_calls: int | None = Field(default=None, ge=0)

    model_config = WireModel.model_config | {"populate_by_name": True}


class Number(WireModel):
    """A dialled number as the gateway needs it; `overflow` takes its calls while the bridge is away."""

    number: str
    trunk_id: UUID | None = None
    overflow: str | None = None


class GatewayConfiguration(WireModel):
    """Everything that the bridge writes into the gateway. `revision` changes when anything in it changes."""

    revision: str
    trunks: tuple[Trunk, ...]
    numbers: tuple[Number, ...]
    capacity: int


class OpeningInterval(WireModel):
    """One interval of a weekday (0 = Monday), in the organization's time zone; closes after it opens."""

    weekday: int = Field(ge=0, le=6)
    opens: time
    closes: time


class Holiday(WireModel):
    date: date
    name: ShortText = ""
