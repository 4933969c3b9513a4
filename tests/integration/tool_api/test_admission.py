"""Who gets a place, and how many."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import jwt
import pytest
from sqlalchemy import create_engine, text

from appliance.agents.tables import Agent
from appliance.calls.admission import Admissions
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Admission, AdmissionRefused, Ended, OutboundRequest
from appliance.calls.tokens import CallTokens
from appliance.clients.tool_api import ToolApiClient
from appliance.database.engine import create_engine as create_engine_of_role
from appliance.errors import InvalidInput, NotFound
from appliance.organizations.tables import Organization
from appliance.telephony.tables import Holiday, Number, Trunk
from provisioning.lite.box import Box
from tests.integration.tool_api.world import World, world


def an_end() -> Ended:
    return Ended(at=datetime.now(UTC), hangup_party="caller")


async def admitted_and_refused(
    service: ToolApiClient, world: World, count: int
) -> tuple[list[Admission], list[AdmissionRefused]]:
    answers = await asyncio.gather(
        *(service.admit(world.request()) for _ in range(count)), return_exceptions=True
    )
    unforeseen = [each for each in answers if not isinstance(each, Admission | AdmissionRefused)]
    assert not unforeseen
    return (
        [each for each in answers if isinstance(each, Admission)],
        [each for each in answers if isinstance(each, AdmissionRefused)],
    )


async def test_a_call_gets_a_room_a_ticket_and_an_agent(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request(called=own.number[1:], caller_name="Ann"))
    assert admission.room_name == f"call-{admission.call_id}"
    assert admission.participant_identity == f"sip-{admission.call_id}"
    assert admission.organization_id == own.organization_id
    assert admission.agent_name == own.box.settings.worker.agent_name
    assert admission.escalation.target == "201"
    rooms = own.box.settings.rooms
    ticket = jwt.decode(
        admission.participant_token, rooms.api_secret.reveal(), algorithms=["HS256"], issuer=rooms.api_key
    )
    assert ticket["kind"] == "sip"
    assert ticket["video"]["room"] == admission.room_name
    assert ticket["video"]["roomJoin"] is True
    assert not ticket["video"].get("roomCreate")
    assert not ticket["video"].get("roomAdmin")
    assert ticket["attributes"]["sip.phoneNumber"] == "+4915112345678"
    assert ticket["attributes"]["sip.trunkPhoneNumber"] == own.number
    assert ticket["attributes"]["sip.callID"] == str(admission.call_id)
    assert ticket["attributes"]["sip.callStatus"] == "ringing"
    lasts = datetime.fromtimestamp(ticket["exp"], UTC) - datetime.now(UTC)
    assert lasts > timedelta(seconds=admission.limits.max_duration_seconds)
    metadata = DispatchMetadata.decode(admission.dispatch_metadata)
    assert (metadata.call_id, metadata.attempt) == (admission.call_id, 1)
    row = own.call(admission.call_id)
    assert (row.status, row.direction, row.caller, row.called) == (
        "admitted",
        "inbound",
        "+4915112345678",
        own.number,
    )
    assert (row.agent_version_id, row.number_id, row.trunk_id) == (
        own.version_id,
        own.number_id,
        own.trunk_id,
    )


async def test_a_number_is_found_however_the_trunk_writes_it(service: ToolApiClient, own: World) -> None:
    digits = own.number[1:]
    for called in (own.number, digits, "00" + digits, "0" + digits[2:], f"sip:{own.number}@10.0.0.1"):
        admission = await service.admit(own.request(called=called))
        assert own.call(admission.call_id).number_id == own.number_id
        await service.ended(admission.call_id, an_end())


async def test_what_is_not_in_service_is_404(service: ToolApiClient, own: World, other: World) -> None:
    own.change(Number, own.number_id, trunk_id=own.trunk_id)
    for request in (
        own.request(called="+493012345"),
        own.request(called="<script>"),
        own.request(called=""),
        own.request(called=other.number),
    ):
        with pytest.raises(AdmissionRefused) as refusal:
            await service.admit(request)
        assert refusal.value.sip_status == 404
    with own.session() as session:
        another = Trunk(organization_id=own.organization_id, name="another")
        session.add(another)
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request(trunk_id=another.id))
    assert refusal.value.sip_status == 404
    own.change(Agent, own.agent_id, published_version_id=None)
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request())
    assert (refusal.value.sip_status, refusal.value.code) == (404, "number_without_agent")


async def test_an_unknown_trunk_is_403(service: ToolApiClient, own: World) -> None:
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request(trunk_id=uuid4()))
    assert refusal.value.sip_status == 403


async def test_thirty_at_once_get_exactly_the_five_places(service: ToolApiClient, own: World) -> None:
    admitted, refused = await admitted_and_refused(service, own, 30)
    assert len(admitted) == 5
    assert len(refused) == 25
    assert {each.sip_status for each in refused} == {503}
    assert all(each.retry_after_seconds and each.retry_after_seconds > 0 for each in refused)
    # One that ends gives its place to exactly one other, also when it tells so twice.
    await service.ended(admitted[0].call_id, an_end())
    await service.ended(admitted[0].call_id, an_end())
    again, _ = await admitted_and_refused(service, own, 3)
    assert len(again) == 1


async def test_numbers_and_trunks_have_limits_of_their_own(service: ToolApiClient, own: World) -> None:
    own.change(Number, own.number_id, max_calls=2)
    admitted, refused = await admitted_and_refused(service, own, 6)
    assert (len(admitted), {each.sip_status for each in refused}) == (2, {503})
    own.change(Number, own.number_id, max_calls=None)
    own.change(Trunk, own.trunk_id, max_calls=3)
    more, _ = await admitted_and_refused(service, own, 6)
    assert len(more) == 1


async def test_over_the_limit_goes_to_the_overflow(service: ToolApiClient, own: World) -> None:
    own.change(Number, own.number_id, max_calls=0, overflow="sip:600@pbx.example")
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request())
    assert (refusal.value.sip_status, refusal.value.contact) == (302, "sip:600@pbx.example")


async def test_the_box_has_a_capacity_for_all_organizations(
    service: ToolApiClient, own: World, other: World
) -> None:
    owner = create_engine(own.box.settings.database.url("owner"))
    try:
        with owner.begin() as connection:
            before = connection.execute(text("SELECT capacity FROM box")).scalar_one()
            busy = connection.execute(text("SELECT box_calls_in_progress()")).scalar_one()
            connection.execute(text("UPDATE box SET capacity = :n"), {"n": busy + 3})
        results = await asyncio.gather(
            admitted_and_refused(service, own, 4), admitted_and_refused(service, other, 4)
        )
        assert sum(len(admitted) for admitted, _ in results) == 3
    finally:
        with owner.begin() as connection:
            connection.execute(text("UPDATE box SET capacity = :n"), {"n": before})
        owner.dispose()


async def test_closed_numbers_refuse_or_send_elsewhere(service: ToolApiClient, own: World) -> None:
    today = datetime.now(ZoneInfo("Europe/Berlin")).date()
    with own.session() as session:
        for day in (today, today + timedelta(days=1)):  # midnight may pass while the test runs
            session.add(Holiday(organization_id=own.organization_id, date=day, name="Test"))
    assert await service.admit(own.request())
    own.change(Number, own.number_id, closed_action="refuse")
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request())
    assert (refusal.value.sip_status, refusal.value.code) == (486, "closed")
    own.change(Number, own.number_id, closed_action="overflow", overflow="sip:night@pbx.example")
    with pytest.raises(AdmissionRefused) as refusal:
        await service.admit(own.request())
    assert (refusal.value.sip_status, refusal.value.contact) == (302, "sip:night@pbx.example")


async def test_a_call_out_is_counted_and_told_whom_to_dial(
    service: ToolApiClient, own: World, other: World
) -> None:
    request = OutboundRequest(organization_id=own.organization_id, agent_id=own.agent_id, to="030 9876543")
    admission = await service.outbound(request)
    assert admission.dial is not None
    assert (admission.dial.trunk, admission.dial.to, admission.dial.from_number) == (
        own.trunk_id,
        "+49309876543",
        own.number,
    )
    row = own.call(admission.call_id)
    assert (row.direction, row.caller, row.called) == ("outbound", own.number, "+49309876543")
    own.change(Organization, own.organization_id, max_calls=1)
    with pytest.raises(AdmissionRefused) as refusal:
        await service.outbound(request)
    assert refusal.value.sip_status == 503
    own.change(Organization, own.organization_id, max_calls=5)
    with pytest.raises(InvalidInput):
        await service.outbound(request.model_copy(update={"to": "sip:evil@example.com;x"}))
    for foreign in (
        {"agent_id": other.agent_id},
        {"number_id": other.number_id},
        {"trunk_id": other.trunk_id},
        {"organization_id": uuid4()},
    ):
        with pytest.raises(NotFound):
            await service.outbound(request.model_copy(update=foreign))


async def test_holidays_of_others_do_not_close_us(api_box: Box, service: ToolApiClient, own: World) -> None:
    own.change(Number, own.number_id, closed_action="refuse")
    today = datetime.now(ZoneInfo("Europe/Berlin")).date()

    def closed_everywhere(made: World, session: object) -> None:
        for days in range(-1, 3):
            row = Holiday(
                organization_id=made.organization_id, date=today + timedelta(days=days), name="Closed"
            )
            session.add(row)  # type: ignore[attr-defined]

    assert isinstance(today, date)
    with world(api_box, prepare=closed_everywhere):
        with own.session() as session:
            session.execute(text("DELETE FROM opening_hours"))
        assert await service.admit(own.request())


async def test_processes_count_together(own: World) -> None:
    """Each `Admissions` stands for a process of the tool API: only the database is between them."""
    settings = own.box.settings
    app = create_engine_of_role(settings.database, "app")
    router = create_engine_of_role(settings.database, "router")
    tokens = CallTokens(settings.tool_api.token_key.reveal())
    processes = [Admissions(settings, app=app, router=router, tokens=tokens) for _ in range(30)]
    try:
        answers = await asyncio.gather(
            *(each.inbound(own.request(), datetime.now(UTC)) for each in processes), return_exceptions=True
        )
    finally:
        await app.dispose()
        await router.dispose()
    assert sum(isinstance(each, Admission) for each in answers) == 5
    assert sum(isinstance(each, AdmissionRefused) for each in answers) == 25
