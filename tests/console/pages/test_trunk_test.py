"""The test of a trunk, by page and by API, with the real bridge asking the real gateway as the far side."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.database.unit_of_work import UnitOfWork
from appliance.telephony.tables import Trunk
from provisioning.lite.box import Box
from tests.console.conftest import SignedIn, SignIn
from tests.console.pages.conftest import OpenTab
from tests.console.pages.test_every_page import AXE, RULES

Audited = Callable[..., UnitOfWork]


@pytest.fixture(scope="module")
def bridge_box(console_box: Box) -> Box:
    console_box.start("bridge")
    return console_box


async def new_trunk(admin: SignedIn, **fields: object) -> str:
    body = {"name": f"Tested {uuid4().hex[:8]}", "host": "127.0.0.1", **fields}
    made = await admin.client.post("/api/v1/trunks", json=body, headers=admin.script_headers())
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def delete(admin: SignedIn, trunk_id: str) -> None:
    assert (await admin.post_form(f"/trunks/{trunk_id}/delete")).status_code == 303


async def entries(work: Audited, action: str, trunk_id: str = "") -> int:
    async with work() as uow:
        statement = select(func.count()).select_from(AuditEntry).where(AuditEntry.action == action)
        if trunk_id:
            statement = statement.where(AuditEntry.subject == f"trunk:{trunk_id}")
        return await uow.session.scalar(statement) or 0


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_an_admin_tests_a_trunk_and_sees_what_to_look_at(
    sign_in: SignIn, open_tab: OpenTab, axe_script: str, bridge_box: Box, work: Audited
) -> None:
    admin = await sign_in(Role.ADMIN)
    gateway = bridge_box.settings.gateway
    trunk_id = await new_trunk(admin, port=gateway.sip_port, transport="tcp")
    tab = await open_tab(admin)
    await tab.open(f"/trunks/{trunk_id}")
    part = tab.page.locator("form", has=tab.page.get_by_role("button", name="Test now"))
    assert "Not tested yet." in await part.inner_text()
    assert await entries(work, "trunks.tested", trunk_id) == 0
    await part.get_by_role("button", name="Test now").click()
    await part.get_by_text("The far side answers").wait_for()
    shown = await part.inner_text()
    assert f"127.0.0.1:{gateway.sip_port}" in shown
    assert re.search(r"\b(200|401|404)\b", shown)
    assert re.search(r"\d ms", shown)
    assert await entries(work, "trunks.tested", trunk_id) == 1
    await tab.page.evaluate(axe_script)
    assert await tab.page.evaluate(AXE, RULES["light"]) == []
    assert tab.problems == []
    await delete(admin, trunk_id)


async def test_without_javascript_a_refusal_is_told_in_plain_words(sign_in: SignIn, bridge_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    trunk_id = await new_trunk(admin, port=closed_port(), transport="tcp")
    told = await admin.post_form(f"/trunks/{trunk_id}/test")
    assert told.status_code == 200
    assert "Nothing listens there." in told.text
    assert "Not tested yet." not in told.text
    await delete(admin, trunk_id)


async def test_a_program_tests_a_trunk(sign_in: SignIn, bridge_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    gateway = bridge_box.settings.gateway
    # By the box's own authority, which the gateway trusts, over TLS.
    for transport, port in (("udp", gateway.sip_port), ("tls", gateway.sip_tls_port)):
        trunk_id = await new_trunk(admin, port=port, transport=transport)
        answer = await admin.client.post(f"/api/v1/trunks/{trunk_id}/test", headers=admin.script_headers())
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert (result["trunk_answered"], result["transport"]) == (True, transport)
        checked_at = datetime.fromisoformat(result["checked_at"])
        assert abs(datetime.now(UTC) - checked_at) < timedelta(minutes=5)
        (probe,) = result["probes"]
        assert (probe["outcome"], probe["address"]) == ("answered", f"127.0.0.1:{port}")
        assert 200 <= probe["sip_status"] < 500
        assert probe["advice"]
        await delete(admin, trunk_id)


async def test_a_trunk_for_calls_in_alone_has_nobody_to_ask(sign_in: SignIn, bridge_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    trunk_id = await new_trunk(admin, host=None, match=["192.0.2.1"])
    page = (await admin.client.get(f"/trunks/{trunk_id}")).text
    assert "there is nobody to ask" in page
    assert "Test now" not in page
    answer = await admin.client.post(f"/api/v1/trunks/{trunk_id}/test", headers=admin.script_headers())
    assert (answer.status_code, answer.json()["code"]) == (409, "no_far_side")
    await delete(admin, trunk_id)


@pytest.mark.parametrize("role", [Role.BUILDER, Role.AUDITOR, Role.LISTENER])
async def test_a_role_without_the_right_is_refused_and_written_down(
    sign_in: SignIn, console_box: Box, work: Audited, role: Role
) -> None:
    async with work() as uow:
        trunk_id = await uow.session.scalar(select(Trunk.id).limit(1))
    assert isinstance(trunk_id, UUID)
    member = await sign_in(role)
    before, tested = await entries(work, "access.refused"), await entries(work, "trunks.tested")
    assert (await member.post_form(f"/trunks/{trunk_id}/test")).status_code == 403
    answer = await member.client.post(f"/api/v1/trunks/{trunk_id}/test", headers=member.script_headers())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert await entries(work, "access.refused") == before + 2
    assert await entries(work, "trunks.tested") == tested
    if role is not Role.LISTENER:  # who does not see the page at all
        assert "Test now" not in (await member.client.get(f"/trunks/{trunk_id}")).text


async def test_the_bridge_is_away(sign_in: SignIn, console_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    trunk_id = await new_trunk(admin, port=closed_port())
    console_box.stop("bridge")
    try:
        told = await admin.post_form(f"/trunks/{trunk_id}/test")
        assert told.status_code == 200
        assert "The telephone does not answer." in told.text
        answer = await admin.client.post(f"/api/v1/trunks/{trunk_id}/test", headers=admin.script_headers())
        assert answer.status_code == 503
    finally:
        console_box.start("bridge")
    await delete(admin, trunk_id)
