"""Trunks, numbers and hours as people and programs set them."""

from __future__ import annotations

import ipaddress
import re
from datetime import date, datetime, time
from itertools import pairwise
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from appliance.telephony.domain import Codec, Srtp, Transport
from appliance.wire import ShortText

ClosedAction = Literal["answer", "refuse", "overflow"]
_HOST = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")
_SIP_URI = re.compile(
    r"^sips?:[A-Za-z0-9+*#._~-]{1,64}@[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(;transport=(udp|tcp|tls))?$"
)
_PROXY = re.compile(r"^sips?:[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(;(lr|transport=(udp|tcp|tls)))*$")
_USERNAME = re.compile(r"^[A-Za-z0-9+*#._~@-]{1,128}$")
_E164 = re.compile(r"^\+[1-9][0-9]{4,14}$")
_EXTENSION = re.compile(r"^[0-9*#]{1,6}$")


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        if not _HOST.match(value) or ".." in value:
            raise ValueError("must be a host name or an IP address") from None
        return value.lower()


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a network such as 192.0.2.0/24") from None
    if network.prefixlen == 0:
        raise ValueError("must not be every address there is")
    return str(network) if "/" in value else str(network.network_address)


def _sip_uri(value: str) -> str:
    if not _SIP_URI.match(value):
        raise ValueError("must be a SIP URI such as sip:201@pbx.example.com")
    return value


def _proxy(value: str) -> str:
    if not _PROXY.match(value):
        raise ValueError("must be a SIP URI such as sip:proxy.example.com;lr")
    return value


def _username(value: str) -> str:
    if not _USERNAME.match(value):
        raise ValueError("may have letters, digits and + * # . _ ~ @ - alone")
    return value


def _number(value: str) -> str:
    if not _E164.match(value) and not _EXTENSION.match(value):
        raise ValueError("must be an international number such as +4930555010, or an extension of the PBX")
    return value


def _password(value: SecretStr) -> SecretStr:
    plain = value.get_secret_value()
    if not 1 <= len(plain) <= 200 or any(ord(sign) < 32 or ord(sign) == 127 for sign in plain):
        raise ValueError("must have 1 to 200 characters, and none of control")
    return value


Host = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_host)]
Network = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_network)]
SipUri = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_sip_uri)]
ProxyUri = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_proxy)]
Username = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_username)]
DialledNumber = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_number)]
Password = Annotated[SecretStr, AfterValidator(_password)]
Name = Annotated[ShortText, Field(min_length=1, max_length=120)]


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class TrunkInput(Given):
    """A trunk as it is set. A password that is left out stays as it is; without its user name it goes."""

    name: Name = Field(examples=["Office PBX"])
    transport: Transport = "udp"
    host: Host | None = Field(default=None, examples=["pbx.example.com"])
    port: int | None = Field(default=None, ge=1, le=65535)
    match: tuple[Network, ...] = Field(default=(), max_length=50)
    auth_username: Username | None = None
    auth_password: Password | None = None
    inbound_username: Username | None = None
    inbound_password: Password | None = None
    register_at_host: bool = False
    outbound_proxies: tuple[ProxyUri, ...] = Field(default=(), max_length=5)
    srtp: Srtp = "off"
    codecs: tuple[Codec, ...] = Field(default=("opus", "g722", "alaw", "ulaw"), min_length=1, max_length=4)
    qualify_seconds: int = Field(default=0, ge=0, le=3600)
    max_calls: int | None = Field(default=None, ge=0, le=10_000)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.register_at_host and (self.host is None or self.auth_username is None):
            raise ValueError("to register, a trunk needs a host and a user name")
        if self.host is None and not self.match and self.inbound_username is None:
            raise ValueError("a trunk needs a host, addresses, or a user name for calls in")
        if self.srtp == "required" and self.transport != "tls":
            raise ValueError("SRTP keys travel in the clear without TLS: choose the transport tls")
        return self


class ShownTrunk(Shown):
    """Passwords are never shown, only whether there is one."""

    id: UUID
    name: str
    transport: Transport
    host: str | None
    port: int | None
    match: list[str]
    auth_username: str | None
    has_auth_password: bool
    inbound_username: str | None
    has_inbound_password: bool
    register_at_host: bool
    outbound_proxies: list[str]
    srtp: Srtp
    codecs: list[Codec]
    qualify_seconds: int
    max_calls: int | None
    created_at: datetime


class NumberInput(Given):
    number: DialledNumber = Field(examples=["+4930555010"])
    agent_id: UUID
    trunk_id: UUID | None = None
    """The only trunk by which it may be called; none: any."""
    max_calls: int | None = Field(default=None, ge=0, le=10_000)
    overflow: SipUri | None = None
    """Where calls over the limit go (302)."""
    closed_action: ClosedAction = "answer"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.closed_action == "overflow" and self.overflow is None:
            raise ValueError("closed calls can go to the overflow only when there is one")
        return self


class ShownNumber(Shown):
    id: UUID
    number: str
    agent_id: UUID
    agent_name: str | None
    answered: bool
    """Its agent has a published version."""
    trunk_id: UUID | None
    trunk_name: str | None
    max_calls: int | None
    overflow: str | None
    closed_action: ClosedAction
    created_at: datetime


class HoursSpan(Given):
    weekday: int = Field(ge=0, le=6)
    """0 is Monday."""
    opens: time
    closes: time

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.opens.tzinfo is not None or self.closes.tzinfo is not None:
            raise ValueError("the hours are in the organization's own time zone")
        if self.opens >= self.closes:
            raise ValueError("must close after it opens")
        return self


class HolidayInput(Given):
    date: date
    name: ShortText = ""


class Hours(Given):
    """The whole of the opening hours: what is not in it is closed."""

    spans: tuple[HoursSpan, ...] = Field(default=(), max_length=70)
    holidays: tuple[HolidayInput, ...] = Field(default=(), max_length=500)

    @model_validator(mode="after")
    def _no_overlap(self) -> Self:
        spans = sorted(self.spans, key=lambda span: (span.weekday, span.opens))
        for first, second in pairwise(spans):
            if first.weekday == second.weekday and second.opens < first.closes:
                raise ValueError("two spans of a day overlap")
        if len({day.date for day in self.holidays}) != len(self.holidays):
            raise ValueError("a day is a holiday twice")
        return self
