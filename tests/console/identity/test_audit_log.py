"""The audit log in a real database: nobody changes it, each organization reads its own, a flaw is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from appliance.access.domain import Actor, ActorKind, Role, rights_of
from appliance.audit import service as audit
from appliance.audit.service import Filter
from appliance.database.migrate import owner_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotAllowed
from provisioning.lite.box import Box
from tests.console.conftest import SignIn

Work = Callable[..., UnitOfWork]


def _auditor(organization_id: UUID | None) -> Actor:
    rights = rights_of({Role.AUDITOR, Role.OPERATOR})
    return Actor(ActorKind.MEMBER, "tester", "Test Auditor", organization_id, rights, "127.0.0.1")


async def _write(work: Work, chain: UUID | None, count: int = 1, **more: object) -> None:
    for index in range(count):
        async with work(chain) as uow:
            await audit.record(uow, _auditor(chain), "test.write", f"thing:{index}", **more)


async def test_entries_follow_each_other_also_when_many_write_at_once(work: Work) -> None:
    chain = uuid4()
    await asyncio.gather(*(_write(work, chain, 5) for _ in range(6)))
    async with work(chain) as uow:
        result = await audit.verify(uow, _auditor(chain))
        assert (result.entries, result.flaw) == (30, None)
        newest = await audit.find(uow, _auditor(chain), Filter(), limit=10)
        assert [entry.sequence for entry in newest] == list(range(30, 20, -1))
        rest = await audit.find(uow, _auditor(chain), Filter(), before_sequence=21, limit=200)
        assert len(rest) == 20


async def test_what_was_not_done_is_not_written(work: Work) -> None:
    chain = uuid4()

    async def fail_after_all() -> None:
        async with work(chain) as uow:
            await audit.record(uow, _auditor(chain), "test.undone", "thing:1")
            raise RuntimeError("it failed after all")

    with pytest.raises(RuntimeError):
        await fail_after_all()
    await _write(work, chain)
    async with work(chain) as uow:
        assert (await audit.verify(uow, _auditor(chain))).entries == 1


async def test_secrets_do_not_enter(work: Work) -> None:
    chain = uuid4()
    after = {
        "host": "pbx",
        "auth": {"username": "u", "password": "hunter2"},
        "client_secret": "s3",
        "n": "a\x00b",
    }
    await _write(work, chain, after=after)
    async with work(chain) as uow:
        (entry,) = await audit.find(uow, _auditor(chain), Filter())
        assert (await audit.verify(uow, _auditor(chain))).whole
    assert "hunter2" not in json.dumps(entry.after)
    assert "s3" not in json.dumps(entry.after)
    assert entry.after["auth"]["username"] == "u"
    assert entry.after["n"] == "ab"


async def test_the_app_may_not_touch_what_is_written(work: Work) -> None:
    chain = uuid4()
    await _write(work, chain, 2)
    for statement in (
        "UPDATE audit_entries SET action = 'nothing'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET sequence = 0",
    ):
        with pytest.raises(DBAPIError):
            async with work(chain) as uow:
                await uow.session.execute(text(statement))


async def test_another_organization_sees_and_writes_nothing_there(work: Work) -> None:
    mine, theirs = uuid4(), uuid4()
    await _write(work, mine, 2)
    async with work(theirs) as uow:
        assert await audit.find(uow, _auditor(theirs), Filter()) == []
        assert await uow.session.scalar(text("SELECT count(*) FROM audit_entries")) == 0
    with pytest.raises(DBAPIError):
        async with work(theirs) as uow:
            await uow.session.execute(
                text("INSERT INTO audit_heads (chain, sequence, hash) VALUES (:chain, 0, '')"),
                {"chain": mine},
            )


def _as_owner(box: Box, chain: UUID, *statements: str) -> None:
    """What only somebody with the owner's rights can do, and only after taking the guards away."""
    engine = owner_engine(box.settings.database)
    with engine.begin() as connection:
        connection.execute(
            text("SELECT set_config('app.organization_id', :chain, true)"), {"chain": str(chain)}
        )
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(text("ALTER TABLE audit_entries NO FORCE ROW LEVEL SECURITY"))
        for statement in statements:
            assert connection.execute(text(statement), {"chain": chain}).rowcount >= 1
        connection.execute(text("ALTER TABLE audit_entries FORCE ROW LEVEL SECURITY"))
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "at"),
    [
        ("UPDATE audit_entries SET subject = 'thing:x' WHERE chain = :chain AND sequence = 3", 3),
        ("UPDATE audit_entries SET at = at - interval '1 hour' WHERE chain = :chain AND sequence = 2", 2),
        ("DELETE FROM audit_entries WHERE chain = :chain AND sequence = 4", 4),
        ("DELETE FROM audit_entries WHERE chain = :chain AND sequence >= 4", 4),
        ("DELETE FROM audit_entries WHERE chain = :chain", 1),
    ],
    ids=["edited", "another time", "gap", "cut tail", "emptied"],
)
async def test_a_touched_chain_is_found(work: Work, console_box: Box, statement: str, at: int) -> None:
    chain = uuid4()
    await _write(work, chain, 5)
    await asyncio.to_thread(_as_owner, console_box, chain, statement)
    async with work(chain) as uow:
        result = await audit.verify(uow, _auditor(chain))
    assert result.flaw is not None
    assert result.flaw.sequence == at


async def test_without_the_right_nothing_is_read(work: Work) -> None:
    chain = uuid4()
    nobody = Actor(ActorKind.MEMBER, "x", "X", chain, rights_of({Role.LISTENER}))
    async with work(chain) as uow:
        with pytest.raises(NotAllowed):
            await audit.find(uow, nobody, Filter())
        with pytest.raises(NotAllowed):
            await audit.verify(uow, nobody)


async def test_the_pages(sign_in: SignIn, work: Work, console_box: Box) -> None:
    organization = console_box.seed.organization_id
    mark = f"mark.{uuid4().hex[:8]}"
    async with work() as uow:
        evil = "<script>alert(1)</script>"
        await audit.record(uow, _auditor(organization), mark, "call:1", after={"by": evil, "f": "=1+1"})
    auditor = await sign_in(Role.AUDITOR)
    page = await auditor.client.get("/audit", params={"action": mark})
    assert page.status_code == 200
    assert mark in page.text
    sequence = page.text.split('href="/audit/')[-1].split('"')[0]
    entry = await auditor.client.get(f"/audit/{sequence}")
    assert "&lt;script&gt;" in entry.text
    assert "<script>alert" not in entry.text
    assert (await auditor.client.get("/audit/99999999")).status_code == 404
    verified = await auditor.post_form("/audit/verify")
    assert "Whole: each of the" in verified.text
    for params in ({"since": "nonsense"}, {"since": "2026-02-30"}, {"before": "x"}, {"action": "%_'"}):
        assert (await auditor.client.get("/audit", params=params)).status_code < 500

    exported = await auditor.client.get("/audit/export.jsonl", params={"action": mark})
    assert [json.loads(line)["action"] for line in exported.text.splitlines()] == [mark]
    table = await auditor.client.get("/audit/export.csv", params={"action": mark})
    assert table.text.count("\r\n") == 2
    after = await auditor.client.get("/audit", params={"action": "audit.export"})
    assert "audit.export" in after.text


async def test_a_refusal_is_written(sign_in: SignIn) -> None:
    listener = await sign_in(Role.LISTENER, name="Lis Tener")
    assert (await listener.client.get("/audit")).status_code == 403
    auditor = await sign_in(Role.AUDITOR)
    page = await auditor.client.get("/audit", params={"action": "access.refused", "by": listener.member.id})
    assert "Lis Tener" in page.text
    assert "/audit" in page.text
