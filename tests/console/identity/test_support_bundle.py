"""The operator downloads the support bundle, from the page and as a program."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.database import migrate
from appliance.database.unit_of_work import UnitOfWork
from provisioning.lite.box import Box
from provisioning.lite.settings_file import SECRETS, read_secret
from tests.console.conftest import SignedIn, SignIn

Work = Callable[..., UnitOfWork]
PAGE, API = "/box/support-bundle", "/api/v1/box/support-bundle"


async def _ask(member: SignedIn, path: str) -> httpx.Response:
    return await member.client.post(path, data={"_csrf": member.csrf}, headers=member.script_headers())


async def _entries(work: Work) -> int:
    async with work(None) as uow:
        statement = (
            select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "box.support_bundle")
        )
        return await uow.session.scalar(statement) or 0


def _files(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {
            member.name.partition("/")[2]: file.read()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }


@pytest.mark.parametrize("path", [PAGE, API])
async def test_the_operator_downloads_it(sign_in: SignIn, work: Work, console_box: Box, path: str) -> None:
    operator = await sign_in(operator=True, name="Olga Operator")
    before = await _entries(work)
    answer = await _ask(operator, path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/gzip"
    assert "trunkline-support-2" in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)

    files = _files(answer.content)
    manifest = json.loads(files["manifest.json"])
    for each in manifest["files"]:
        assert hashlib.sha256(files[each["name"]]).hexdigest() == each["sha256"]
    database = json.loads(files["database.json"])
    revision, newest = migrate.current(console_box.settings)
    assert (database["revision"], database["newest_revision_of_this_release"]) == (revision, newest)
    assert {"public.calls", "public.audit_entries", "public.organizations"} <= database["tables"].keys()
    versions = json.loads(files["versions.json"])
    assert versions["postgresql"] == database["server"]
    assert {"livekit-server", "minio", "asterisk"} <= versions["installed"].keys()
    assert {"log/console.log", "log/postgres.log", "settings.json", "health.json"} <= files.keys()
    shown = [part["name"] for part in json.loads(files["health.json"])]
    assert shown == [part["name"] for part in (await operator.client.get("/api/v1/box")).json()["parts"]]
    whole = b"\n".join(files.values())
    for name in SECRETS:
        assert read_secret(console_box.directory, name).encode() not in whole

    assert await _entries(work) == before + 1
    entries = (await operator.client.get("/api/v1/box/audit")).json()["items"]
    written = next(each for each in entries if each["action"] == "box.support_bundle")
    assert written["actor_name"] == "Olga Operator"
    assert written["after"]["sha256"] == hashlib.sha256(answer.content).hexdigest()


@pytest.mark.parametrize("path", [PAGE, API])
async def test_nobody_else_does(sign_in: SignIn, work: Work, anonymous: httpx.AsyncClient, path: str) -> None:
    before = await _entries(work)
    admin = await sign_in(Role.ADMIN)
    assert (await _ask(admin, path)).status_code == 403
    operator = await sign_in(operator=True)
    forged = await operator.client.post(path, data={"_csrf": "0" * 64})
    assert forged.status_code == 403
    stale = await sign_in(operator=True, authenticated_at=datetime.now(UTC) - timedelta(hours=1))
    late = await _ask(stale, path)
    assert late.status_code != 200
    assert late.headers["content-type"] != "application/gzip"
    assert (await anonymous.post(path)).status_code in {303, 401}
    assert await _entries(work) == before


async def test_its_button_is_on_the_page_of_the_box(sign_in: SignIn) -> None:
    page = (await (await sign_in(operator=True)).client.get("/box")).text
    assert f'<form method="post" action="{PAGE}"' in page
    assert "Support bundle" in page
