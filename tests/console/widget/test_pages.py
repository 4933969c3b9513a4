"""Widgets in the console: written by those who may, with their lines to copy and a page to try them."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, select

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.database.unit_of_work import UnitOfWork
from appliance.widgets.tables import Widget
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.widget.conftest import WidgetMaker

HOSTILE = '"><script>document.title="taken over"</script>'
Work = Callable[..., UnitOfWork]


def fields(box: Box, **more: str) -> dict[str, str]:
    return {
        "name": f"Shop {uuid4().hex[:8]}",
        "title": "Ask us",
        "agent_id": str(box.seed.agent_id),
        "origins": "https://www.example.com\r\n\r\nHTTPS://*.Example.org/\r\n",
        "voice": "on",
        "text": "on",
        "enabled": "on",
        "demo": "on",
        "max_sessions": "2",
        "visitor_sessions_per_hour": "5",
        "address_sessions_per_hour": "20",
        "max_duration_seconds": "300",
        **more,
    }


@pytest.fixture
async def _nothing_left(work: Work):
    yield
    async with work() as uow:
        await uow.session.execute(delete(Widget))


@pytest.mark.usefixtures("_nothing_left")
async def test_a_builder_makes_changes_and_deletes_a_widget(
    sign_in: SignIn, console_box: Box, console_url: str, work: Work
) -> None:
    builder = await sign_in(Role.BUILDER, name=(name := f"Bea {uuid4().hex[:8]}"))
    wanted = fields(console_box)
    made = await builder.post_form("/widgets", wanted)
    assert made.status_code == 303, made.text
    address = made.headers["location"]
    html = unescape((await builder.client.get(address)).text)
    async with work() as uow:
        row = await uow.session.scalar(select(Widget).where(Widget.name == wanted["name"]))
    assert row is not None
    assert row.origins == ["https://www.example.com", "https://*.example.org"]
    assert f'<script src="{console_url}/widget/v1/trunkline-agent.js" defer></script>' in html
    assert f'<trunkline-agent agent="{row.public_id}" server="{console_url}"></trunkline-agent>' in html
    listed = (await builder.client.get("/widgets")).text
    assert wanted["name"] in listed
    assert f"/widget/demo?agent={row.public_id}" in listed
    hostile = await builder.post_form(address, wanted | {"title": HOSTILE, "name": HOSTILE})
    assert hostile.status_code == 303
    assert HOSTILE not in (await builder.client.get(address)).text
    assert HOSTILE not in (await builder.client.get("/widgets")).text
    without = {key: value for key, value in wanted.items() if key not in {"enabled", "demo"}}
    assert (await builder.post_form(address, without)).status_code == 303
    assert "/widget/demo?agent=" not in (await builder.client.get("/widgets")).text
    assert (await builder.post_form(f"{address}/delete")).status_code == 303
    assert (await builder.client.get(address)).status_code == 404
    async with work() as uow:
        told = await uow.session.scalars(
            select(AuditEntry.action).where(AuditEntry.actor_name == name).order_by(AuditEntry.sequence)
        )
        assert told.all() == ["widgets.created", "widgets.changed", "widgets.changed", "widgets.deleted"]


@pytest.mark.usefixtures("_nothing_left")
async def test_what_cannot_be_meant_is_told_beside_its_field(sign_in: SignIn, console_box: Box) -> None:
    builder = await sign_in(Role.BUILDER)
    wrong = {
        "origins": "https://www.example.com/shop",
        "max_sessions": "many",
        "max_duration_seconds": "5",
        "name": " ",
        "agent_id": "x",
    }
    told = await builder.post_form("/widgets", fields(console_box, **wrong))
    assert told.status_code == 422
    for name in wrong:
        assert f'id="{name}-error"' in told.text, name
    assert "https://www.example.com/shop</textarea>" in told.text, "what was typed is kept"
    nobody = await builder.post_form("/widgets", fields(console_box, agent_id=str(uuid4())))
    assert nobody.status_code == 422
    assert 'id="agent_id-error"' in nobody.text
    mute = {name: value for name, value in fields(console_box).items() if name not in {"voice", "text"}}
    assert "voice, text or both" in (await builder.post_form("/widgets", mute)).text


async def test_two_who_change_it_are_told(sign_in: SignIn, console_box: Box, new_widget: WidgetMaker) -> None:
    widget = await new_widget()
    address = f"/widgets/{widget.id}"
    first, second = await sign_in(Role.BUILDER), await sign_in(Role.ADMIN)
    seen = (await first.client.get(address)).text.split('name="revision" value="')[1].split('"')[0]
    wanted = fields(console_box) | {"revision": seen}
    assert (await second.post_form(address, wanted | {"title": "Theirs"})).status_code == 303
    told = await first.post_form(address, wanted | {"title": "Mine"})
    assert told.status_code == 422
    assert "Somebody else has changed this meanwhile" in told.text
    assert 'value="Mine"' in told.text


async def test_who_lacks_the_right_sees_and_changes_nothing(
    sign_in: SignIn, console_box: Box, new_widget: WidgetMaker
) -> None:
    widget = await new_widget()
    for role in (Role.LISTENER, Role.AUDITOR):
        member = await sign_in(role)
        for path in ("/widgets", "/widgets/new", f"/widgets/{widget.id}"):
            assert (await member.client.get(path)).status_code == 403, (role, path)
        for path in ("/widgets", f"/widgets/{widget.id}", f"/widgets/{widget.id}/delete"):
            assert (await member.post_form(path, fields(console_box))).status_code == 403, (role, path)
    other = await sign_in(Role.ADMIN, organization_id=uuid4())
    assert (await other.client.get(f"/widgets/{widget.id}")).status_code == 404


async def test_the_file_is_one_and_kept_by_browsers(console_url: str) -> None:
    path = f"{console_url}/widget/v1/trunkline-agent.js"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        whole = await http.get(path)
        assert whole.status_code == 200
        assert whole.headers["content-type"].startswith("text/javascript")
        assert whole.headers["content-encoding"] == "gzip"
        assert whole.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "trunkline-agent" in whole.text
        assert "sourceMappingURL" not in whole.text
        assert "set-cookie" not in whole.headers
        again = await http.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert again.status_code == 304
        plain = await http.get(path, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.text == whole.text


async def test_a_demo_page_of_rubbish_is_none(console_url: str, anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/widget/demo", params={"agent": "x" * 200})).status_code == 404
    hostile = await anonymous.get("/widget/demo", params={"agent": HOSTILE})
    assert HOSTILE not in hostile.text
