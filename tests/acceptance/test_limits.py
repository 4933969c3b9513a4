"""Thirty telephones at once at a limit of five, the overflow, and numbers that nobody has."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from appliance.database.unit_of_work import TENANT_SETTING
from provisioning.caller import Leg, SipCaller
from provisioning.demo.call_records import CallRecords
from provisioning.lite.box import Box
from tests.acceptance.test_after_many_calls import clean, left_behind
from tests.fixtures.calls import number_uri

LIMIT = 5
CALLERS = 30
FINAL_SECONDS = 120


@contextmanager
def number_with(box: Box, **values: Any) -> Iterator[None]:
    """The seeded number with other limits, and as it was afterwards."""
    engine = create_engine(box.settings.database.url("app"), poolclass=NullPool)

    def write(row: dict[str, Any]) -> dict[str, Any]:
        with engine.begin() as connection:
            connection.execute(
                text("SELECT set_config(:setting, :tenant, true)"),
                {"setting": TENANT_SETTING, "tenant": str(box.seed.organization_id)},
            )
            before = connection.execute(
                text("SELECT max_calls, overflow FROM numbers WHERE id = :id"), {"id": box.seed.number_id}
            ).one()
            connection.execute(
                text("UPDATE numbers SET max_calls = :max_calls, overflow = :overflow WHERE id = :id"),
                {"max_calls": None, "overflow": None, "id": box.seed.number_id} | row,
            )
        return dict(before._mapping)

    before = write(values)
    try:
        yield
    finally:
        write(before)
        engine.dispose()


async def final(leg: Leg) -> Leg:
    """The leg once its INVITE has a final answer."""
    async with asyncio.timeout(FINAL_SECONDS):
        while leg.final_status is None:  # noqa: ASYNC110 - a leg has no event for "answered or refused"
            await asyncio.sleep(0.02)
    return leg


@pytest.mark.timeout(300)
async def test_thirty_invites_at_a_limit_of_five_give_five_calls(box: Box) -> None:
    box.start()
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        assert not await clean(box, records)
        with number_with(box, max_calls=LIMIT):
            async with SipCaller() as caller:
                legs = await asyncio.gather(*(caller.call(number_uri(box)) for _ in range(CALLERS)))
                await asyncio.gather(*(final(leg) for leg in legs))
                statuses = Counter(leg.final_status for leg in legs)
                assert statuses == {200: LIMIT, 503: CALLERS - LIMIT}, statuses
                refused = [leg for leg in legs if leg.final_status == 503]
                assert all(int(leg.headers.get("Retry-After")) > 0 for leg in refused)
                # A refused call has never had a room or a row; those that were answered have one each.
                taken = await left_behind(box, records)
                assert (len(taken.rooms), taken.open_calls) == (LIMIT, LIMIT)
                # One hangs up: its place is free for exactly one other.
                answered = next(leg for leg in legs if leg.final_status == 200)
                await answered.hangup()
                await _open_calls(records, LIMIT - 1)
                again = [await final(await caller.call(number_uri(box))) for _ in range(2)]
                assert [leg.final_status for leg in again] == [200, 503]
        left = await clean(box, records)
        assert not left, left


async def test_over_the_limit_the_caller_is_sent_to_the_overflow(box: Box) -> None:
    box.start()
    contact = "sip:600@127.0.0.1:5999"
    with number_with(box, max_calls=0, overflow=contact):
        async with (
            SipCaller() as caller,
            CallRecords(box.settings, box.seed.organization_id) as records,
        ):
            rows = await _calls(records)
            legs = [await final(await caller.call(number_uri(box))) for _ in range(3)]
            assert [leg.final_status for leg in legs] == [302] * 3
            assert all(contact in leg.headers.get("Contact") for leg in legs)
            assert await _calls(records) == rows


@pytest.mark.parametrize("number", ["4930555999", "0", "reception", "+4930555010999"])
async def test_a_number_that_nobody_has_is_404(box: Box, number: str) -> None:
    box.start()
    async with (
        SipCaller() as caller,
        CallRecords(box.settings, box.seed.organization_id) as records,
    ):
        rows = await _calls(records)
        leg = await final(await caller.call(number_uri(box, number)))
        assert leg.final_status == 404
        assert await _calls(records) == rows


async def _calls(records: CallRecords) -> int:
    return (await records.rows("SELECT count(*) AS n FROM calls"))[0]["n"]


async def _open_calls(records: CallRecords, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            rows = await records.rows("SELECT count(*) AS n FROM calls WHERE ended_at IS NULL")
            if rows[0]["n"] == count:
                return
            await asyncio.sleep(0.1)
