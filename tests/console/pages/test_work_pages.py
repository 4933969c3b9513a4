"""Functions, the desk, and the organization in the console."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import select

from appliance.access.domain import Role
from appliance.calls.tables import CallNote
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.console_tables import ApiKey
from appliance.scheduling.service import book, calendar_of
from appliance.scheduling.tables import Booking
from appliance.telephony.opening import Span
from tests.console.conftest import SignIn
from tests.console.pages.call_world import KeptCall
from tests.console.pages.test_lines import revision_in

SCHEMA = '{"type": "object", "properties": {"phone": {"type": "string"}}, "required": ["phone"]}'


async def test_a_function_is_added_tried_and_taken_away(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    name = f"look_up_{uuid4().hex[:8]}"
    fields = {
        "name": name,
        "description": "Finds a customer <b>quickly</b>.",
        "method": "POST",
        "url": "https://crm.example.com/customers",
        "auth": "bearer",
        "secret": "a-bearer-token-of-ours",
        "parameters": SCHEMA,
        "timeout_seconds": "1",
        "enabled": "on",
    }
    made = await admin.post_form("/functions", fields)
    assert made.status_code == 303, made.text
    address = made.headers["location"]
    html = (await admin.client.get(address)).text
    assert "a-bearer-token-of-ours" not in html
    assert "&lt;b&gt;quickly" in html
    wrong = await admin.post_form(f"{address}/try", {"arguments": "{}"})
    assert wrong.status_code == 422
    assert 'id="arguments-error"' in wrong.text
    tried = await admin.post_form(f"{address}/try", {"arguments": '{"phone": "+4930555010"}'})
    assert "It did not work" in tried.text, "the address leads nowhere here"
    for change, field in (
        ({"name": "create_booking"}, "name"),
        ({"name": "Big Name"}, "name"),
        ({"parameters": "{"}, "parameters"),
        ({"headers": "no colon"}, "headers"),
        ({"timeout_seconds": "99"}, "timeout_seconds"),
    ):
        told = await admin.post_form("/functions", fields | change)
        assert told.status_code == 422, change
        assert f'id="{field}-error"' in told.text, change
    changed = await admin.post_form(address, fields | {"revision": revision_in(html), "timeout_seconds": "2"})
    assert changed.status_code == 303
    assert (await admin.post_form(f"{address}/delete")).status_code == 303
    assert name not in (await admin.client.get("/functions")).text


async def test_an_appointment_is_moved_and_cancelled(
    sign_in: SignIn, work: Callable[..., UnitOfWork]
) -> None:
    listener = await sign_in(Role.LISTENER)
    name = f"Zoë Łukasz {uuid4().hex[:6]}"
    starts = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400 + uuid4().int % 5000)
    async with work() as uow:
        calendar = await calendar_of(uow)
        slot = Span(starts, starts + timedelta(minutes=30))
        booking_id = await book(uow, calendar, slot, name=name, phone=None, reason="<i>", call_id=None)
    page = await listener.client.get(f"/bookings?from={starts:%Y-%m-%d}")
    assert name in page.text
    assert "&lt;i&gt;" in page.text
    later = starts + timedelta(days=1)
    move = {"starts_at": f"{later:%Y-%m-%dT%H:%M}"}
    moved = await listener.post_form(f"/bookings/{booking_id}/move", move)
    assert moved.status_code == 303
    async with work() as uow:
        row = await uow.session.get_one(Booking, booking_id)
        assert row.during.lower is not None
        assert row.during.lower.date() >= later.date() - timedelta(days=1)
        assert row.during.lower != starts
    assert (await listener.post_form(f"/bookings/{booking_id}/cancel")).status_code == 303
    await listener.client.get("/bookings")  # shows the notice of it, once
    assert name not in (await listener.client.get(f"/bookings?from={starts:%Y-%m-%d}")).text
    assert name in (await listener.client.get(f"/bookings?from={starts:%Y-%m-%d}&cancelled=1")).text
    builder = await sign_in(Role.BUILDER)
    assert (await builder.post_form(f"/bookings/{booking_id}/cancel")).status_code == 403
    assert (await listener.client.get("/bookings?from=soon")).status_code == 200


async def test_a_callback_is_dealt_with_and_brought_back(
    sign_in: SignIn, kept_call: KeptCall, work: Callable[..., UnitOfWork]
) -> None:
    listener = await sign_in(Role.LISTENER)
    text, note_id = f"Ring Žofie {uuid4().hex[:6]}", uuid7()
    async with work() as uow:
        mine = {"organization_id": uow.organization_id, "call_id": kept_call.call_id}
        uow.session.add(CallNote(id=note_id, text=text, **mine))
    assert text in (await listener.client.get("/bookings/callbacks")).text
    await listener.post_form(f"/bookings/callbacks/{note_id}", {"done": "1"})
    assert text not in (await listener.client.get("/bookings/callbacks")).text
    assert text in (await listener.client.get("/bookings/callbacks?show=done")).text
    await listener.post_form(f"/bookings/callbacks/{note_id}", {"done": "0"})
    assert text in (await listener.client.get("/bookings/callbacks")).text


async def test_a_key_is_shown_once_and_revoked(sign_in: SignIn, work: Callable[..., UnitOfWork]) -> None:
    admin = await sign_in(Role.ADMIN)
    name = f"Reporting {uuid4().hex[:8]}"
    nothing = await admin.post_form("/organization/keys", {"name": name})
    assert nothing.status_code == 422
    assert "Choose at least one thing" in nothing.text
    made = await admin.post_form("/organization/keys", {"name": name, "scope.calls:read": "on"})
    assert made.status_code == 200
    found = re.search(r"tl_[a-z0-9]{12}_[A-Za-z0-9]{40}", made.text)
    assert found is not None
    listed = await admin.client.get("/organization/keys")
    assert found.group(0) not in listed.text
    assert name in listed.text
    async with work() as uow:
        row = await uow.session.scalar(select(ApiKey).where(ApiKey.name == name))
    assert row is not None
    assert row.scopes == ["calls:read"]
    assert (await admin.post_form(f"/organization/keys/{row.id}/revoke")).status_code == 303
    async with work() as uow:
        assert (await uow.session.get_one(ApiKey, row.id)).revoked_at is not None
    # A password shown long ago is asked for again before a key is made.
    old = await sign_in(Role.ADMIN, authenticated_at=datetime.now(UTC) - timedelta(hours=1))
    asked = await old.post_form("/organization/keys", {"name": name, "scope.calls:read": "on"})
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/sign-in")


async def test_settings_are_saved_and_what_cannot_be_is_told(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    html = (await admin.client.get("/organization")).text
    fields = {
        "revision": revision_in(html),
        "name": "Riverside Dental Practice",
        "timezone": "Europe/Berlin",
        "language": "en",
        "quota.warn_at_percent": "80",
    }
    told = await admin.post_form(
        "/organization",
        fields | {"timezone": "Mars/Base", "language": "english", "quota.warn_at_percent": "0"},
    )
    assert told.status_code == 422
    for path in ("timezone", "language", "quota.warn_at_percent"):
        assert f'id="{path}-error"' in told.text, path
    saved = await admin.post_form("/organization", fields | {"quota.minutes_per_month": "365"})
    assert saved.status_code == 303
    html = (await admin.client.get("/organization")).text
    assert 'value="365"' in html
    stale = await admin.post_form("/organization", fields)
    assert "changed this meanwhile" in stale.text
    assert (
        await admin.post_form("/organization", fields | {"revision": revision_in(html)})
    ).status_code == 303
    assert (await admin.client.get("/organization/usage")).status_code == 200
    builder = await sign_in(Role.BUILDER)
    assert (await builder.client.get("/organization")).status_code == 200
    assert (await builder.post_form("/organization", fields)).status_code == 403
    assert (await builder.client.get("/organization/keys")).status_code == 403
