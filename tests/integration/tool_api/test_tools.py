"""The tools through the real server: rules, races, and sentences for everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio
from sqlalchemy import func, select

from appliance.calls.domain import Ended, ToolAnswer
from appliance.calls.tables import CallNote, ToolCall
from appliance.clients.tool_api import ToolApiClient
from appliance.organizations.tables import Organization
from appliance.scheduling.tables import Booking, Calendar, Order
from appliance.telephony.tables import Holiday, OpeningHours
from provisioning.lite.box import Box
from tests.integration.tool_api.world import World, snapshot, world

BERLIN = ZoneInfo("Europe/Berlin")


def day_ahead(days: int) -> str:
    return (datetime.now(BERLIN).date() + timedelta(days=days)).isoformat()


def booking(days: int = 3, at: str = "15:00", **more: Any) -> dict[str, Any]:
    return {"date": day_ahead(days), "time": at, "name": "Ann"} | more


class Tools:
    """The tools of one call; each use has an id of its own unless it is told one."""

    def __init__(self, client: ToolApiClient) -> None:
        self.client = client
        self._count = 0

    async def __call__(self, action: str, arguments: dict[str, Any], *, id: str | None = None) -> ToolAnswer:
        self._count += 1
        answer = await self.client.voice_tool(action, id or f"id-{self._count}", arguments)
        assert answer.say, "every answer can be spoken"
        if not answer.ok:
            assert answer.code
        return answer


@pytest_asyncio.fixture
async def tools(service: ToolApiClient, own: World) -> AsyncIterator[Tools]:
    admission = await service.admit(own.request())
    async with own.of_call(admission) as client:
        yield Tools(client)


def bookings(own: World) -> int:
    with own.session() as session:
        return session.scalar(select(func.count()).select_from(Booking)) or 0


async def test_a_free_slot_is_found_booked_and_then_taken(tools: Tools, own: World) -> None:
    look = await tools("check_availability", {"date": day_ahead(3), "time": "3 pm"})
    assert look.ok
    assert look.result is not None
    assert look.result["requested_free"] is True
    made = await tools("create_booking", booking(reason="a check-up"))
    assert made.ok
    assert made.result is not None
    assert (made.result["date"], made.result["time"], made.result["ends"]) == (
        day_ahead(3),
        "15:00",
        "15:30",
    )
    assert made.say is not None
    assert "3 p.m." in made.say
    with own.session() as session:
        row = session.scalars(select(Booking)).one()
    assert row.during.lower is not None
    assert row.during.lower.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == f"{day_ahead(3)} 15:00"
    assert (row.name, row.phone, row.reason) == ("Ann", "+4915112345678", "a check-up")
    again = await tools("create_booking", booking(name="Bo"))
    assert (again.ok, again.code) == (False, "slot_taken")
    assert again.result is not None
    assert [each["time"] for each in again.result["alternatives"]] == ["14:00", "14:30", "15:30"]
    look = await tools("check_availability", {"date": day_ahead(3), "time": "15:00"})
    assert look.result is not None
    assert look.result["requested_free"] is False
    assert "15:00" not in look.result["free"]


async def test_a_cancelled_booking_frees_its_slot(tools: Tools, own: World) -> None:
    made = await tools("create_booking", booking())
    assert made.result is not None
    own.change(Booking, made.result["booking_id"], cancelled_at=datetime.now(UTC))
    assert (await tools("create_booking", booking(name="Bo"))).ok


async def test_thirty_callers_want_the_same_slot(api_box: Box, service: ToolApiClient) -> None:
    with world(api_box, max_calls=40) as own:
        admission = await service.admit(own.request())
        async with own.of_call(admission) as client:
            tools = Tools(client)
            answers = await asyncio.gather(
                *(tools("create_booking", booking(name=f"Caller {n}")) for n in range(30))
            )
        assert sum(answer.ok for answer in answers) == 1
        assert {answer.code for answer in answers if not answer.ok} == {"slot_taken"}
        assert bookings(own) == 1


async def test_the_same_request_at_the_same_time_books_once(tools: Tools, own: World) -> None:
    answers = await asyncio.gather(*(tools("create_booking", booking(), id="same") for _ in range(12)))
    assert all(answer.ok for answer in answers)
    assert len({answer.result["booking_id"] for answer in answers if answer.result}) == 1
    assert bookings(own) == 1
    with own.session() as session:
        kept = session.scalars(select(ToolCall)).one()
    assert (kept.action, kept.arguments) == ("create_booking", booking())
    assert kept.result is not None
    assert kept.result["ok"] is True
    assert kept.finished_at is not None


async def test_an_id_with_another_question_is_refused(tools: Tools, own: World) -> None:
    assert (await tools("create_booking", booking(), id="one")).ok
    for action, arguments in (("create_booking", booking(at="16:00")), ("log_note", booking())):
        answer = await tools(action, arguments, id="one")
        assert (answer.ok, answer.code) == (False, "tool_call_reused")
    assert bookings(own) == 1


async def test_a_refusal_is_remembered_too(tools: Tools, own: World) -> None:
    first = await tools("create_booking", booking(at="20:00"), id="late")
    assert first.code == "outside_hours"
    with own.session() as session:
        for row in session.scalars(select(OpeningHours)):
            row.closes = time(23, 30)
    assert await tools("create_booking", booking(at="20:00"), id="late") == first
    assert (await tools("create_booking", booking(at="20:00"), id="later")).ok


async def test_rules_stand_against_a_booking(tools: Tools, own: World) -> None:
    with own.session() as session:
        row = Holiday(
            organization_id=own.organization_id,
            date=datetime.now(BERLIN).date() + timedelta(days=5),
            name="Closed",
        )
        session.add(row)
    for arguments, code in (
        (booking(5), "closed"),
        (booking(3, "07:30"), "outside_hours"),
        (booking(3, "15:10"), "not_on_grid"),
        (booking(-1), "past"),
        (booking(61), "too_far"),
        (booking(at="sometime"), "not_understood"),
        (booking() | {"date": "blursday"}, "not_understood"),
        (booking() | {"date": "Monday the 31st of February"}, "not_understood"),
        ({"date": day_ahead(3), "time": "15:00"}, "missing"),
        ({"name": "Ann"}, "missing"),
        (booking(name=["Ann"]), "not_understood"),
    ):
        answer = await tools("create_booking", arguments)
        assert (answer.ok, answer.code) == (False, code), arguments
    own.change(Calendar, own.calendar_id, lead_minutes=60 * 24 * 10)
    assert (await tools("create_booking", booking())).code == "too_soon"
    assert bookings(own) == 0


async def test_availability_in_every_way_to_ask(tools: Tools) -> None:
    soonest = await tools("check_availability", {})
    assert soonest.result is not None
    assert len(soonest.result["slots"]) == 3
    wanted = await tools("check_availability", {"time": "half past nine"})
    assert wanted.result is not None
    assert {slot["time"] for slot in wanted.result["slots"]} == {"09:30"}
    day = await tools("check_availability", {"date": "the day after tomorrow"})
    assert day.result is not None
    assert day.result["date"] == day_ahead(2)
    assert 1 < len(day.result["free"]) <= 6
    for phrase in ("next week", "next Tuesday", "morgen"):
        assert (await tools("check_availability", {"date": phrase})).ok
    assert (await tools("check_availability", {"date": "yesterday"})).code == "past"
    assert (await tools("check_availability", {"date": day_ahead(90)})).code == "too_far"


async def test_without_a_calendar_there_is_a_sentence(tools: Tools, own: World) -> None:
    with own.session() as session:
        session.delete(session.get_one(Calendar, own.calendar_id))
    for action, arguments in (("check_availability", {}), ("create_booking", booking())):
        assert (await tools(action, arguments)).code == "no_calendar"


async def test_orders_and_notes_are_written_down(tools: Tools, own: World) -> None:
    order = {
        "items": [{"name": "toothbrush", "quantity": "2"}, {"name": "floss"}],
        "name": "Bo",
        "phone": 555,
    }
    made = await tools("create_order", order)
    assert made.ok
    note = await tools("log_note", {"text": "Please call Ann back."})
    assert note.ok
    with own.session() as session:
        stored = session.scalars(select(Order)).one()
        text = session.scalars(select(CallNote.text)).one()
    assert stored.items == [{"name": "toothbrush", "quantity": 2}, {"name": "floss", "quantity": 1}]
    assert (stored.name, stored.phone, text) == ("Bo", "555", "Please call Ann back.")
    assert (await tools("create_order", {"items": [], "name": "Bo"})).code == "not_understood"
    assert (await tools("create_order", {"name": "Bo"})).code == "missing"
    assert (await tools("log_note", {})).code == "missing"


async def test_a_person_is_reachable_or_the_agent_says_when(api_box: Box, service: ToolApiClient) -> None:
    agent = snapshot(escalation={"target": "201", "opening_hours_only": True})
    with world(api_box, agent=agent) as own:
        admission = await service.admit(own.request())
        async with own.of_call(admission) as client:
            tools = Tools(client)
            with own.session() as session:
                hours = list(session.scalars(select(OpeningHours)))
                for row in hours:
                    session.delete(row)
            reachable = await tools("transfer_to_human", {"reason": "complaint"})
            assert reachable.result == {"target": "201", "reachable": True, "mode": "attended"}
            tomorrow = datetime.now(BERLIN).date() + timedelta(days=3)
            with own.session() as session:
                row = OpeningHours(
                    organization_id=own.organization_id,
                    weekday=tomorrow.weekday(),
                    opens=hours[0].opens,
                    closes=hours[0].closes,
                )
                session.add(row)
            closed = await tools("transfer_to_human", {})
            assert (closed.ok, closed.code) == (False, "closed")
            assert closed.say is not None
            assert tomorrow.strftime("%A") in closed.say
            assert "8 a.m." in closed.say


async def test_nobody_to_transfer_to(api_box: Box, service: ToolApiClient) -> None:
    with world(api_box, agent=snapshot(escalation={}, tools=("transfer_to_human",))) as own:
        admission = await service.admit(own.request())
        async with own.of_call(admission) as client:
            tools = Tools(client)
            assert (await tools("transfer_to_human", {})).code == "nobody_there"
            # A tool that the agent was not given, and one that nobody has.
            assert (await tools("create_booking", booking())).code == "unknown_tool"
            assert (await tools("drop_tables", {})).code == "unknown_tool"
            assert bookings(own) == 0


async def test_a_german_agent_speaks_german(api_box: Box, service: ToolApiClient) -> None:
    with world(api_box, agent=snapshot(language="de-DE")) as own:
        own.change(Organization, own.organization_id, language="de")
        admission = await service.admit(own.request())
        async with own.of_call(admission) as client:
            made = await Tools(client)("create_booking", booking(at="halb vier", name="Anna"))
        assert made.ok
        assert made.say is not None
        assert "15 Uhr 30" in made.say


async def test_after_the_call_nothing_is_booked(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    await service.ended(admission.call_id, Ended(at=datetime.now(UTC), hangup_party="caller"))
    async with own.of_call(admission) as client:
        assert (await Tools(client)("create_booking", booking())).code == "call_ended"
    assert bookings(own) == 0
