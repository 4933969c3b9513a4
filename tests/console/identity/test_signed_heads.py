"""Signed heads: a chain that was written anew, hash by hash, with the owner's rights, is still found."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from appliance.access.domain import Actor, ActorKind, Role, rights_of
from appliance.audit import service as audit
from appliance.audit.domain import GENESIS, entry_hash
from appliance.audit.service import Filter, Verification
from appliance.audit.signing import SIGN_AFTER_ENTRIES, HeadSigner, sign_when_due
from appliance.database.migrate import owner_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box
from tests.console.conftest import SignIn

Work = Callable[..., UnitOfWork]
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def auditor(chain: UUID) -> Actor:
    return Actor(ActorKind.MEMBER, "tester", "Test Auditor", chain, rights_of({Role.AUDITOR}))


async def write(work: Work, chain: UUID, count: int) -> None:
    async with work(chain) as uow:
        for index in range(count):
            await audit.record(uow, auditor(chain), "test.write", f"thing:{index}")


async def verified(work: Work, chain: UUID, signer: HeadSigner | None) -> Verification:
    async with work(chain) as uow:
        return await audit.verify(uow, auditor(chain), signer)


@pytest.fixture
def signer(console_box: Box) -> HeadSigner:
    made = HeadSigner.from_settings(console_box.settings.security)
    assert made is not None
    return made


async def test_a_head_is_signed_at_first_then_daily_and_after_many_entries(
    work: Work, signer: HeadSigner
) -> None:
    chain = uuid4()

    async def signed_to(now: datetime) -> int | None:
        async with work(chain) as uow:
            head = await sign_when_due(uow, signer, now)
        return head.sequence if head is not None else None

    assert await signed_to(NOW) is None  # nothing was done yet
    await write(work, chain, 2)
    assert await signed_to(NOW) == 2
    await write(work, chain, SIGN_AFTER_ENTRIES - 1)
    assert await signed_to(NOW + timedelta(hours=23)) is None
    await write(work, chain, 1)
    assert await signed_to(NOW + timedelta(hours=23)) == SIGN_AFTER_ENTRIES + 2
    await write(work, chain, 1)
    assert await signed_to(NOW + timedelta(hours=48)) == SIGN_AFTER_ENTRIES + 3
    assert await signed_to(NOW + timedelta(hours=96)) is None  # nothing new
    found = await verified(work, chain, signer)
    assert (found.whole, found.signed, found.signed_to) == (True, 3, SIGN_AFTER_ENTRIES + 3)


async def written_anew(box: Box, work: Work, chain: UUID) -> None:
    """What somebody does who owns the database and knows how the chain is made."""
    async with work(chain) as uow:
        entries = list(reversed(await audit.find(uow, auditor(chain), Filter(), limit=50)))

    def write_rows() -> None:
        owner = owner_engine(box.settings.database)
        with owner.begin() as connection:
            for table in ("audit_entries", "audit_heads"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
            last = GENESIS
            for entry in entries:
                content = entry.content | {"subject": "thing:another"}
                now = entry_hash(last, content)
                connection.execute(
                    text(
                        "UPDATE audit_entries SET subject = 'thing:another', previous_hash = :last, "
                        "hash = :now"
                        " WHERE chain = :chain AND sequence = :sequence"
                    ),
                    {"last": last, "now": now, "chain": chain, "sequence": entry.sequence},
                )
                last = now
            connection.execute(
                text("UPDATE audit_heads SET hash = :last WHERE chain = :chain"),
                {"last": last, "chain": chain},
            )
            for table in ("audit_entries", "audit_heads"):
                connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
                connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
        owner.dispose()

    await asyncio.to_thread(write_rows)


async def test_a_chain_that_was_written_anew_does_not_fit_its_signed_head(
    work: Work, signer: HeadSigner, console_box: Box
) -> None:
    unsigned, signed = uuid4(), uuid4()
    for chain in (unsigned, signed):
        await write(work, chain, 4)
    async with work(signed) as uow:
        await sign_when_due(uow, signer, NOW)
    await write(work, signed, 2)
    for chain in (unsigned, signed):
        await written_anew(console_box, work, chain)
    assert (await verified(work, unsigned, signer)).whole, "by its hashes alone it is whole"
    found = await verified(work, signed, signer)
    assert found.flaw is not None
    assert found.flaw.sequence == 4
    assert "written anew" in found.flaw.problem


async def test_a_head_that_another_key_signed_under_this_name_does_not_hold(
    work: Work, signer: HeadSigner
) -> None:
    chain = uuid4()
    await write(work, chain, 1)
    forger = HeadSigner(bytes(32))
    forger.key_id = signer.key_id
    async with work(chain) as uow:
        await sign_when_due(uow, forger, NOW)
    found = await verified(work, chain, signer)
    assert found.flaw is not None
    assert "does not hold" in found.flaw.problem


async def test_the_app_may_not_touch_a_signature(work: Work, signer: HeadSigner) -> None:
    chain = uuid4()
    await write(work, chain, 1)
    async with work(chain) as uow:
        await sign_when_due(uow, signer, NOW)
    for statement in ("UPDATE audit_signatures SET hash = ''", "DELETE FROM audit_signatures"):
        with pytest.raises(DBAPIError):
            async with work(chain) as uow:
                await uow.session.execute(text(statement))


async def test_the_operator_verifies_every_chain_and_the_auditor_his_own(
    work: Work, signer: HeadSigner, console_box: Box, sign_in: SignIn
) -> None:
    member = await sign_in(Role.AUDITOR)
    async with work() as uow:
        await audit.record(uow, auditor(console_box.seed.organization_id), "test.write", "thing:1")
    async with work() as uow:
        await sign_when_due(uow, signer, datetime.now(UTC) + timedelta(days=2))
    page = await member.post_form("/audit/verify")
    assert "up to entry" in page.text
    environment = {**os.environ, SETTINGS_VARIABLE: str(console_box.site.settings_file)}
    command = [sys.executable, "-m", "appliance.cli.audit", "verify"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("the box")
    ours = next(line for line in lines if line.startswith("riverside-dental"))
    assert "signed up to" in ours
    assert ours.endswith("whole")
