"""Who may do what, for every endpoint of the OpenAPI document: rights, roles, and other people's things."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from appliance.access.domain import RIGHTS_OF_ROLE, Role
from appliance.audit.tables import AuditEntry
from appliance.calls.archive_tables import SavedFilter, ShareLink
from appliance.calls.tables import CallNote
from appliance.database.identifiers import uuid7
from appliance.organizations.console_tables import ApiKey
from appliance.recordings.tables import Recording
from appliance.scheduling.tables import Booking, Order
from appliance.tools.tables import Function
from appliance.webhooks.tables import InboundHook, InboundRequest, WebhookDelivery, WebhookEndpoint
from appliance.widgets.tables import Widget
from tests.console.api.conftest import ALL_RIGHTS, ProgramMaker
from tests.console.api.operations import RULES, Operation, filled, operations
from tests.console.conftest import SignIn
from tests.console.people import Person
from tests.integration.database.world import Data, Tenant

pytestmark = pytest.mark.usefixtures("keycloak_box")  # who is a member, it alone knows

_ROW_OF = {
    "link_id": ShareLink,
    "filter_id": SavedFilter,
    "recording_id": Recording,
    "function_id": Function,
    "booking_id": Booking,
    "order_id": Order,
    "note_id": CallNote,
    "key_id": ApiKey,
    "endpoint_id": WebhookEndpoint,
    "delivery_id": WebhookDelivery,
    "hook_id": InboundHook,
    "request_id": InboundRequest,
    "widget_id": Widget,
}


_OTHERS = ("agent_id", "version_id", "trunk_id", "number_id", "call_id", "member_id", "organization_id")


async def ids_of(data: Data, tenant: Tenant) -> dict[str, str]:
    """A row of everything that a path may name."""
    found: dict[str, UUID] = {
        "agent_id": tenant.agent_id,
        "version_id": tenant.agent_version_id,
        "trunk_id": tenant.trunk_id,
        "number_id": tenant.number_id,
        "call_id": tenant.call_id,
        "member_id": uuid7(),
        "organization_id": tenant.organization_id,
    }
    async with data.work(tenant.organization_id) as uow:
        for name, table in _ROW_OF.items():
            row_id = await uow.session.scalar(select(table.id).limit(1))
            assert row_id is not None, f"the test's world has no {name}"
            found[name] = row_id
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {name: str(value) for name, value in found.items()} | {"soon": soon}


async def ask(
    http: httpx.AsyncClient, operation: Operation, values: dict[str, str], **headers: str
) -> httpx.Response:
    rule = RULES[operation.name]
    path = filled(operation.path, values) + (f"?{filled(rule.query, values)}" if rule.query else "")
    given: dict[str, Any] = {} if rule.body is None else {"json": filled(rule.body, values)}
    async with http.stream(operation.method, path, headers={"If-Match": "*"} | headers, **given) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
        return answer


def test_every_endpoint_has_a_rule(openapi: dict[str, Any]) -> None:
    named = {operation.name for operation in operations(openapi)}
    assert named == set(RULES)
    values = {name for operation in operations(openapi) for name in _names(operation.path)}
    assert values <= {*_ROW_OF, *_OTHERS}


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


async def test_without_a_key_nothing_is_told(openapi: dict[str, Any], console_url: str) -> None:
    nobody = {name: str(uuid7()) for name in (*_ROW_OF, *_OTHERS)}
    async with httpx.AsyncClient(base_url=f"{console_url}/api/v1", trust_env=False, timeout=30) as http:
        for operation in operations(openapi):
            answer = await ask(http, operation, nobody)
            assert (operation.name, answer.status_code) == (operation.name, 401)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_foreign_thing_is_not_there(
    data: Data,
    openapi: dict[str, Any],
    program: ProgramMaker,
    other: Tenant,
    person: Callable[..., Person],
) -> None:
    """404 and nothing else, whether it is another organization's or nobody's; and it stays as it was."""
    foreign = await ids_of(data, other)
    foreign["member_id"] = person(organizations={other.organization_id: [Role.BUILDER, Role.ADMIN]}).id
    nobody = {name: str(uuid7()) for name in foreign} | {"soon": foreign["soon"]}
    http = (await program()).http
    for operation in operations(openapi):
        if not operation.names_a_thing or RULES[operation.name].right not in ALL_RIGHTS:
            continue  # of a list, or the operator's, to whom all organizations are known
        theirs, absent = await ask(http, operation, foreign), await ask(http, operation, nobody)
        assert (operation.name, theirs.status_code) == (operation.name, 404)
        assert theirs.json() == absent.json(), operation.name
    after = await ids_of(data, other)
    assert {name: after[name] for name in _ROW_OF} == {name: foreign[name] for name in _ROW_OF}
    mine = (await program(organization_id=other.organization_id)).http
    for path in (f"/calls/{other.call_id}", f"/agents/{other.agent_id}", f"/trunks/{other.trunk_id}"):
        assert (await mine.get(path)).status_code == 200
    member = await mine.get(f"/members/{foreign['member_id']}")
    assert (member.status_code, member.json()["roles"]) == (200, ["admin", "builder"])


async def test_a_foreign_id_in_a_body_is_not_there_either(program: ProgramMaker, other: Tenant) -> None:
    http = (await program()).http
    answer = await http.post("/numbers", json={"number": "+4930999999002", "agent_id": str(other.agent_id)})
    assert answer.status_code == 404
    answer = await http.post("/calls", json={"agent_id": str(other.agent_id), "to": "+4930"})
    assert answer.status_code == 404


async def test_a_lacking_right_is_refused_and_written_down(
    data: Data, openapi: dict[str, Any], program: ProgramMaker, tenant: Tenant
) -> None:
    values = await ids_of(data, tenant)
    clients: dict[str, httpx.AsyncClient] = {}
    for operation in operations(openapi):
        right = RULES[operation.name].right
        if right not in clients:
            clients[right] = (await program(*(each for each in ALL_RIGHTS if each != right))).http
        before = await _refusals(data, tenant)
        answer = await ask(clients[right], operation, values)
        assert (operation.name, answer.status_code) == (operation.name, 403)
        assert answer.json()["code"] == "not_allowed"
        assert await _refusals(data, tenant) == before + 1, operation.name


async def _refusals(data: Data, tenant: Tenant) -> int:
    async with data.work(tenant.organization_id) as uow:
        return (
            await uow.session.scalar(
                select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "access.refused")
            )
            or 0
        )


async def test_each_role_is_let_in_where_it_has_the_right(
    data: Data, openapi: dict[str, Any], sign_in: SignIn, tenant: Tenant
) -> None:
    """By the cookie of a browser, as the console's own scripts ask; things that do not exist, so that nothing
    is changed."""
    soon = (await ids_of(data, tenant))["soon"]
    nobody = {name: str(uuid7()) for name in (*_ROW_OF, *_OTHERS)} | {"soon": soon}
    for role in (Role.BUILDER, Role.LISTENER, Role.AUDITOR, Role.ADMIN):
        member = await sign_in(role, organization_id=tenant.organization_id)
        for operation in operations(openapi):
            if not operation.names_a_thing and operation.method != "GET":
                continue
            answer = await ask(
                member.client,
                Operation(operation.name, operation.method, f"/api/v1{operation.path}"),
                nobody,
                **member.script_headers(),
            )
            allowed = RULES[operation.name].right in RIGHTS_OF_ROLE[role]
            expected = (404 if operation.names_a_thing else 200) if allowed else 403
            assert (role, operation.name, answer.status_code) == (role, operation.name, expected)


async def test_a_script_without_the_sessions_token_changes_nothing(sign_in: SignIn, tenant: Tenant) -> None:
    member = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    answer = await member.client.post("/api/v1/agents", json={"name": "Forged"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_form"
