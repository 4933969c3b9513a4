"""Reading opening hours, and the configuration of the gateway."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import IntegrityError
from appliance.organizations.tables import Box, Organization
from appliance.security.keys import KeyRing
from appliance.telephony import tables
from appliance.telephony.domain import (
    Credentials,
    GatewayConfiguration,
    Number,
    OpeningInterval,
    Trunk,
)
from appliance.telephony.opening import OpeningTimes

log = structlog.get_logger()


def zone_of(name: str) -> ZoneInfo:
    """The zone, or UTC for a name that the time zone database does not know (any more)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


async def opening_times(uow: UnitOfWork, timezone: str) -> OpeningTimes:
    """The organization's weekly hours and its holidays from last year on."""
    hours = await uow.session.scalars(select(tables.OpeningHours))
    holidays: list[date] = list(await uow.session.scalars(select(tables.Holiday.date)))
    return OpeningTimes(
        zone=zone_of(timezone),
        intervals=tuple(
            OpeningInterval(weekday=each.weekday, opens=each.opens, closes=each.closes) for each in hours
        ),
        holidays=frozenset(holidays),
    )


async def gateway_configuration(router: AsyncEngine, keys: KeyRing) -> GatewayConfiguration:
    """The trunks and numbers of every organization, passwords in the clear: for the gateway's files alone.

    A trunk whose password does not fit its key is left out and named in the log: one broken row must not
    take the telephone from the others.
    """
    async with UnitOfWork(router, None) as uow:
        organizations = list(await uow.session.scalars(select(Organization).order_by(Organization.id)))
        trunk_rows = list(await uow.session.scalars(select(tables.Trunk).order_by(tables.Trunk.id)))
        number_rows = list(await uow.session.scalars(select(tables.Number).order_by(tables.Number.number)))
        capacity = await uow.session.scalar(select(Box.capacity)) or 0
    wrapped = {each.id: each.wrapped_key for each in organizations}
    trunks: list[Trunk] = []
    for row in trunk_rows:
        try:
            trunks.append(_trunk(row, wrapped[row.organization_id], keys))
        except (IntegrityError, ValidationError, KeyError):
            log.error("trunk left out: its row cannot be read", trunk_id=str(row.id))
    numbers = tuple(
        Number(number=row.number, trunk_id=row.trunk_id, overflow=row.overflow) for row in number_rows
    )
    content = json.dumps(
        [
            [trunk.model_dump(mode="json") for trunk in trunks],
            [number.model_dump(mode="json") for number in numbers],
            capacity,
        ],
        sort_keys=True,
    )
    revision = hashlib.sha256(content.encode()).hexdigest()[:32]
    return GatewayConfiguration(revision=revision, trunks=tuple(trunks), numbers=numbers, capacity=capacity)


def _trunk(row: tables.Trunk, wrapped_key: bytes, keys: KeyRing) -> Trunk:
    def credentials(username: str | None, password: bytes | None, column: str) -> Credentials | None:
        if username is None or password is None:
            return None
        return Credentials(username=username, password=_password(row, password, column, wrapped_key, keys))

    return Trunk.model_validate(
        {
            "id": row.id,
            "organization_id": row.organization_id,
            "name": row.name,
            "transport": row.transport,
            "host": row.host,
            "port": row.port,
            "match": tuple(row.match),
            "auth": credentials(row.auth_username, row.auth_password, "auth_password"),
            "inbound_auth": credentials(row.inbound_username, row.inbound_password, "inbound_password"),
            "register": row.register,
            "outbound_proxies": tuple(row.outbound_proxies),
            "srtp": row.srtp,
            "codecs": tuple(row.codecs),
            "qualify_seconds": row.qualify_seconds,
            "max_calls": row.max_calls,
        }
    )


def _password(row: tables.Trunk, sealed: bytes, column: str, wrapped_key: bytes, keys: KeyRing) -> str:
    organization_id: UUID = row.organization_id
    return keys.decrypt_field(organization_id, wrapped_key, f"trunks.{column}", row.id, sealed)
