"""Programs change members as the console does, and the operator's requests reach the box alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from keycloak import KeycloakAdmin
from sqlalchemy import delete

from appliance.access.domain import Role
from appliance.organizations.tables import Organization
from tests.console.api.conftest import ProgramMaker
from tests.console.conftest import SignIn
from tests.console.people import Person
from tests.integration.database.world import Data, Tenant

pytestmark = pytest.mark.usefixtures("keycloak_box")


@pytest.fixture
def address(realm: KeycloakAdmin) -> Iterator[str]:
    """A mail address that nobody has; whoever has it at the end is taken away."""
    made = f"api-{uuid4().hex[:12]}@example.org"
    yield made
    for user in realm.get_users({"email": made, "exact": True}):
        realm.delete_user(user["id"])


async def test_a_member_is_invited_given_other_roles_and_removed(program: ProgramMaker, address: str) -> None:
    http = (await program()).http
    wanted = {"email": address, "first_name": "Ada", "last_name": "Byron", "roles": ["builder"]}
    repeated = {"Idempotency-Key": uuid4().hex}
    invited = await http.post("/members", json=wanted, headers=repeated)
    assert invited.status_code == 201, invited.text
    again = await http.post("/members", json=wanted, headers=repeated)
    assert again.json() == invited.json()
    member = invited.json()["member"]
    assert len(invited.json()["password"]) >= 12
    assert [each["id"] for each in (await http.get("/members")).json()["items"]] == [member["id"]]

    path = f"/members/{member['id']}"
    seen = await http.get(path)
    assert seen.json() == member
    unsaid = await http.put(f"{path}/roles", json={"roles": ["auditor"]})
    assert unsaid.status_code == 428
    tag = {"If-Match": seen.headers["etag"]}
    changed = await http.put(f"{path}/roles", json={"roles": ["auditor"]}, headers=tag)
    assert (changed.status_code, changed.json()["roles"]) == (200, ["auditor"])
    assert (await http.put(f"{path}/roles", json={"roles": ["admin"]}, headers=tag)).status_code == 412
    assert (
        await http.put(f"{path}/roles", json={"roles": ["operator"]}, headers={"If-Match": "*"})
    ).status_code == 422
    assert (await http.delete(path, headers=tag)).status_code == 412
    assert (await http.delete(path, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    assert (await http.get(path)).status_code == 404
    entries = (await http.get("/audit", params={"action": "members."})).json()["items"]
    assert [each["action"] for each in entries] == [
        "members.remove",
        "members.change_roles",
        "members.invite",
    ]


async def test_the_last_administrator_stays(
    program: ProgramMaker, tenant: Tenant, person: Callable[..., Person]
) -> None:
    http = (await program()).http
    last = person(organizations={tenant.organization_id: [Role.ADMIN]})
    assert (await http.delete(f"/members/{last.id}", headers={"If-Match": "*"})).status_code == 409
    assert (await http.get(f"/members/{last.id}")).json()["roles"] == ["admin"]


async def test_the_operator_sees_the_box_and_makes_an_organization(
    sign_in: SignIn, data: Data, address: str
) -> None:
    operator = await sign_in(operator=True)
    api, headers = operator.client, operator.script_headers()
    seen = (await api.get("/api/v1/box")).json()
    assert seen["parts"]
    assert {"Versions", "Storage", "Certificates"} <= seen["facts"].keys()
    slug = f"api-{uuid4().hex[:8]}"
    wanted = {"slug": slug, "name": "Made by a program", "timezone": "Europe/Berlin"}
    made = await api.post("/api/v1/box/organizations", json=wanted, headers=headers)
    assert made.status_code == 201, made.text
    try:
        again = await api.post("/api/v1/box/organizations", json=wanted, headers=headers)
        assert again.status_code == 409
        listed = (await api.get("/api/v1/box/organizations")).json()["items"]
        assert made.json() in listed
        person = {"email": address, "first_name": "Ada", "last_name": "Byron"}
        path = f"/api/v1/box/organizations/{made.json()['id']}/administrators"
        invited = await api.post(path, json=person, headers=headers)
        assert (invited.status_code, invited.json()["member"]["roles"]) == (201, ["admin"])
        nowhere = f"/api/v1/box/organizations/{uuid4()}/administrators"
        assert (await api.post(nowhere, json=person, headers=headers)).status_code == 404
        entries = (await api.get("/api/v1/box/audit")).json()["items"]
        assert f"organization:{made.json()['id']}" in [each["subject"] for each in entries]
        assert (await api.get("/api/v1/box/audit/verification")).json()["whole"] is True
    finally:
        organization_id = made.json()["id"]
        async with data.work(organization_id) as uow:
            await uow.session.execute(delete(Organization).where(Organization.id == organization_id))


async def test_the_overview_tells_what_goes_on(program: ProgramMaker, tenant: Tenant) -> None:
    seen = (await (await program()).http.get("/overview")).json()
    assert seen["today"]["live"] == 1
    assert [each["id"] for each in seen["live"]] == [str(tenant.call_id)]
