"""Trunks, numbers, opening hours and holidays."""

from __future__ import annotations

from datetime import date, time
from uuid import UUID

from sqlalchemy import CheckConstraint, LargeBinary, SmallInteger, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Trunk(OfOrganization, Base):
    """A way to and from a PBX or carrier. Passwords are encrypted with the organization's key; `appliance.
    security.keys.KeyRing.encrypt_field` binds them to `trunks.<column>` and the row's id."""

    __tablename__ = "trunks"

    name: Mapped[str]
    transport: Mapped[str] = mapped_column(server_default="udp")
    host: Mapped[str | None]
    """Where calls out go, and whence calls come in; none for a phone that only calls in."""
    port: Mapped[int | None]
    match: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Addresses or networks from which calls belong to this trunk."""
    auth_username: Mapped[str | None]
    auth_password: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What we show to the far side."""
    inbound_username: Mapped[str | None]
    inbound_password: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What the far side has to show to us."""
    register: Mapped[bool] = mapped_column(server_default="false")
    outbound_proxies: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    srtp: Mapped[str] = mapped_column(server_default="off")
    codecs: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{opus,g722,alaw,ulaw}")
    qualify_seconds: Mapped[int] = mapped_column(server_default="0")
    max_calls: Mapped[int | None]

    __table_args__ = (
        referable(),
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("transport IN ('udp', 'tcp', 'tls')", name="transport"),
        CheckConstraint("srtp IN ('off', 'optional', 'required')", name="srtp"),
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("codecs <@ ARRAY['ulaw', 'alaw', 'g722', 'opus']", name="codecs"),
        CheckConstraint("qualify_seconds >= 0", name="qualify_seconds"),
        CheckConstraint("max_calls >= 0", name="max_calls"),
    )


class Number(OfOrganization, Base):
    """A number that is answered here, in E.164 with its plus sign. Unique on the whole box."""

    __tablename__ = "numbers"

    number: Mapped[str] = mapped_column(unique=True)
    agent_id: Mapped[UUID]
    trunk_id: Mapped[UUID | None]
    """The only trunk by which it may be called; none means any trunk of the organization."""
    max_calls: Mapped[int | None]
    overflow: Mapped[str | None]
    """A SIP URI to which calls over the limit are sent by 302."""
    closed_action: Mapped[str] = mapped_column(server_default="answer")
    """What a call outside the opening hours meets."""

    __table_args__ = (
        referable(),
        same_organization("agent_id", "agents", ondelete=None, deferred=True),
        same_organization("trunk_id", "trunks", ondelete=None, deferred=True),
        CheckConstraint("max_calls >= 0", name="max_calls"),
        CheckConstraint("closed_action IN ('answer', 'refuse', 'overflow')", name="closed_action"),
    )


class OpeningHours(OfOrganization, Base):
    """One span of one weekday (0 is Monday), in the organization's time zone. A day may have several."""

    __tablename__ = "opening_hours"

    weekday: Mapped[int] = mapped_column(SmallInteger)
    opens: Mapped[time]
    closes: Mapped[time]

    __table_args__ = (
        UniqueConstraint("organization_id", "weekday", "opens"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("opens < closes", name="order"),
    )


class Holiday(OfOrganization, Base):
    """A day on which the organization is closed."""

    __tablename__ = "holidays"

    date: Mapped[date]
    name: Mapped[str]

    __table_args__ = (UniqueConstraint("organization_id", "date"),)
