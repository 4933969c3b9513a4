"""Who may see what: each page of the console for each role, from the routes themselves."""

from __future__ import annotations

from uuid import uuid4

import pytest

from appliance.access.domain import RIGHTS_OF_ROLE, Right, Role
from provisioning.lite.box import Box
from tests.console.conftest import SignIn

PAGES = {
    "/": Right.OVERVIEW_READ,
    "/overview/live": Right.OVERVIEW_READ,
    "/audit": Right.AUDIT_READ,
    "/audit/export.jsonl?action=none": Right.AUDIT_EXPORT,
    "/members/new": Right.MEMBERS_WRITE,
    "/box": Right.BOX_READ,
    "/box/log": Right.BOX_READ,
    "/box/organizations/new": Right.BOX_WRITE,
}
FORMS = {
    "/audit/verify": Right.AUDIT_READ,
    "/members": Right.MEMBERS_WRITE,
    f"/members/{uuid4()}/remove": Right.MEMBERS_WRITE,
    f"/members/{uuid4()}/roles": Right.MEMBERS_WRITE,
    "/box/organizations": Right.BOX_WRITE,
}


@pytest.mark.parametrize("role", list(Role))
async def test_each_page_for_each_role(sign_in: SignIn, console_box: Box, role: Role) -> None:
    member = await (sign_in(operator=True) if role is Role.OPERATOR else sign_in(role))
    for path, right in PAGES.items():
        answer = await member.client.get(path)
        if right in RIGHTS_OF_ROLE[role]:
            assert answer.status_code == 200, (role, path)
        elif path == "/":
            assert answer.headers["location"] == "/box"
        else:
            assert answer.status_code == 403, (role, path)
    for path, right in FORMS.items():
        answer = await member.post_form(path)
        assert (answer.status_code == 403) is (right not in RIGHTS_OF_ROLE[role]), (role, path)
