"""A unit of work commits or rolls back as one; a database that is away is told as such."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DataError, IntegrityError

from appliance.database.engine import create_engine, violated_constraint
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Unavailable
from appliance.scheduling.tables import NO_OVERLAP, Booking
from appliance.settings import DatabaseSettings
from provisioning.lite.box import Box
from tests.integration.database.world import NOON, Data, Tenant


async def test_an_error_takes_everything_back(data: Data, tenant: Tenant) -> None:
    async def change_and_fail() -> None:
        async with data.work(tenant.organization_id) as uow:
            await uow.session.execute(text("UPDATE calls SET status = 'ended'"))
            await uow.session.execute(text("SELECT 1/0"))

    with pytest.raises(DataError):
        await change_and_fail()
    async with data.work(tenant.organization_id) as uow:
        assert await uow.session.scalar(text("SELECT status FROM calls")) == "answered"


async def test_of_many_who_book_the_same_time_one_gets_it(data: Data, tenant: Tenant) -> None:
    """They overlap in different ways, and none of them knows of the others."""
    begin = NOON + timedelta(days=1)

    async def book(minute: int) -> str:
        try:
            async with data.work(tenant.organization_id) as uow:
                during = Range(begin + timedelta(minutes=minute), begin + timedelta(minutes=minute + 30))
                uow.session.add(
                    Booking(
                        organization_id=tenant.organization_id,
                        calendar_id=tenant.calendar_id,
                        during=during,
                        name="x",
                    )
                )
        except IntegrityError as error:
            return violated_constraint(error) or "?"
        return "booked"

    answers = await asyncio.gather(*(book(minute % 30) for minute in range(24)))
    assert sorted(answers) == ["booked"] + [NO_OVERLAP] * 23
    async with data.work(tenant.organization_id) as uow:
        taken = await uow.session.scalar(
            select(func.count()).select_from(Booking).where(Booking.during.overlaps(Range(begin, None)))
        )
    assert taken == 1


async def test_a_cancelled_booking_frees_its_time(data: Data, tenant: Tenant) -> None:
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(text("UPDATE bookings SET cancelled_at = now()"))
        uow.session.add(
            Booking(
                organization_id=tenant.organization_id,
                calendar_id=tenant.calendar_id,
                during=Range(NOON, NOON + timedelta(minutes=30)),
                name="another",
            )
        )


async def test_a_lock_lets_one_in_at_a_time(data: Data, tenant: Tenant) -> None:
    inside = 0
    most = 0

    async def enter() -> None:
        nonlocal inside, most
        async with data.work(tenant.organization_id) as uow:
            await uow.lock("test")
            inside += 1
            most = max(most, inside)
            await uow.session.execute(text("SELECT 1"))
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(6)))
    assert most == 1


async def test_a_connection_cut_in_the_middle_is_unavailable(data: Data) -> None:
    with pytest.raises(Unavailable):
        async with data.work(None) as uow:
            await uow.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with data.work(None) as uow:
        assert await uow.session.scalar(text("SELECT 1")) == 1


async def test_a_statement_that_takes_too_long_is_unavailable(box: Box, data: Data) -> None:
    quick = box.settings.database.model_copy(update={"statement_timeout_seconds": 0.05})
    engine = create_engine(quick, "app")
    try:
        with pytest.raises(Unavailable):
            async with UnitOfWork(engine, None) as uow:
                await uow.session.execute(text("SELECT pg_sleep(30)"))
    finally:
        await engine.dispose()


async def test_no_server_at_the_port_is_unavailable(box: Box, unused_tcp_port: int) -> None:
    away: DatabaseSettings = box.settings.database.model_copy(update={"port": unused_tcp_port})
    engine = create_engine(away, "app")
    try:
        with pytest.raises(Unavailable):
            async with UnitOfWork(engine, None) as uow:
                await uow.session.execute(text("SELECT 1"))
    finally:
        await engine.dispose()
