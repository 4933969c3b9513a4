"""Members are invited, changed and removed at a real Keycloak, and what they may do follows at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from appliance.access.domain import Role
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.identity.conftest import Browser, Person


async def test_invited_changed_removed(
    sign_in: SignIn, browser: Callable[[], Browser], keycloak_box: Box
) -> None:
    admin = await sign_in(Role.ADMIN)
    mail = f"new-{uuid4().hex[:8]}@example.org"
    page = await admin.client.post(
        "/members",
        data={
            "_csrf": admin.csrf,
            "email": mail.upper(),
            "first_name": "Nia",
            "last_name": "New",
            "roles": ["listener", "auditor"],
        },
    )
    assert page.status_code == 200, page.text
    found = re.search(r"Password for once</dt><dd><code>([^<]+)</code>", page.text)
    assert found is not None
    listed = await admin.client.get("/members")
    assert mail in listed.text
    member_id = re.search(r'href="/members/([0-9a-f-]{36})">Nia New', listed.text)
    assert member_id is not None

    # The first sign-in wants another password.
    window = browser()
    asked = await window.show_password(await window.to_keycloak(), Person("", mail, found.group(1)))
    while asked.is_redirect:
        asked = await window.client.get(asked.headers["location"])
    assert "kc-passwd-update-form" in asked.text

    nia = await sign_in(Role.LISTENER, Role.AUDITOR, member_id=member_id.group(1), name="Nia New")
    assert (await nia.client.get("/audit")).status_code == 200
    changed = await admin.client.post(
        f"/members/{nia.member.id}/roles", data={"_csrf": admin.csrf, "roles": ["listener"]}
    )
    assert changed.status_code == 303
    assert (await nia.client.get("/audit")).status_code == 403
    assert (await nia.client.get("/")).status_code == 200
    assert (await admin.post_form(f"/members/{nia.member.id}/remove")).status_code == 303
    assert (await nia.client.get("/")).status_code == 403
    assert (await admin.client.get(f"/members/{nia.member.id}")).status_code == 404
    auditor = await sign_in(Role.AUDITOR)
    log = await auditor.client.get("/audit", params={"subject": f"member:{nia.member.id}"})
    for action in ("members.invite", "members.change_roles", "members.remove"):
        assert action in log.text


async def test_members_of_others_are_not_there(
    sign_in: SignIn, person: Callable[..., Person], keycloak_box: Box
) -> None:
    stranger = person(organizations={uuid4(): [Role.ADMIN]})
    admin = await sign_in(Role.ADMIN)
    assert (await admin.client.get(f"/members/{stranger.id}")).status_code == 404
    assert (await admin.client.get(f"/members/{uuid4()}")).status_code == 404
    assert (await admin.post_form(f"/members/{stranger.id}/remove")).status_code == 404
    answer = await admin.post_form(f"/members/{stranger.id}/roles", {"roles": "admin"})
    assert answer.status_code == 404


async def test_somebody_known_joins_a_second_organization(
    sign_in: SignIn, person: Callable[..., Person], realm: object, keycloak_box: Box
) -> None:
    other = uuid4()
    known = person(organizations={other: [Role.BUILDER]})
    admin = await sign_in(Role.ADMIN)
    page = await admin.post_form(
        "/members",
        {"email": f"{known.user}@example.org", "first_name": "P", "last_name": "K", "roles": "builder"},
    )
    assert page.status_code == 200
    assert "Password for once" not in page.text
    claim = realm.get_user(known.id)["attributes"]  # type: ignore[attr-defined]
    assert str(other) in claim["organizations"][0]
    assert str(keycloak_box.seed.organization_id) in claim["organizations"][0]
    again = await admin.post_form(
        "/members",
        {"email": f"{known.user}@example.org", "first_name": "P", "last_name": "K", "roles": "builder"},
    )
    assert again.status_code == 422
    assert "member already" in again.text


async def test_bad_input_is_said_beside_the_field(sign_in: SignIn, keycloak_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    good = {"email": "a@example.org", "first_name": "A", "last_name": "B", "roles": "builder"}
    for change, words in (
        ({"email": "nobody"}, "not a mail address"),
        ({"first_name": " "}, "write a name"),
        ({"roles": "operator"}, "at least one role"),
        ({"roles": ""}, "at least one role"),
    ):
        page = await admin.post_form("/members", {**good, **change})
        assert page.status_code == 422
        assert words in page.text


async def test_the_last_administrator_stays(
    sign_in: SignIn, person: Callable[..., Person], keycloak_box: Box
) -> None:
    alone = uuid4()
    last = person(organizations={alone: [Role.ADMIN]})
    admin = await sign_in(Role.ADMIN, organization_id=alone)
    answer = await admin.post_form(f"/members/{last.id}/remove")
    assert answer.status_code == 303
    shown = await admin.client.get(answer.headers["location"])
    assert "last administrator" in shown.text
