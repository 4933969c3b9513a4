"""A backup of a real box is made, damaged, proven, and given to a second, empty box."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from appliance.access.domain import Actor, ActorKind, Right
from appliance.backups.postgres import MAIN_TABLES
from appliance.box.service import facts
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, IntegrityError, InvalidInput, NotFound, TrunklineError, Unavailable
from appliance.organizations.tables import Organization
from appliance.recordings.tables import Recording
from provisioning.backup_cli import PASSPHRASE_VARIABLE, app
from provisioning.lite.box import Box
from provisioning.lite.keycloak import DATABASE as KEYCLOAK
from provisioning.lite.keycloak import create_keycloak_database
from provisioning.lite.postgres import connect_as_superuser
from provisioning.lite.settings_file import secret_path
from tests.fixtures.box import REPOSITORY, TEST_PORT
from tests.integration.backups.crafted import that_cannot_be_restored
from tests.integration.database.world import Data

OPERATOR = Actor(ActorKind.SYSTEM, "test", "Test", None, frozenset({Right.BOX_READ}))
PASSPHRASE = {PASSPHRASE_VARIABLE: "correct horse battery"}


@dataclass(frozen=True)
class Made:
    """A backup of the test's box, and what was in the box at that moment."""

    file: Path
    organization_id: UUID
    recording_id: UUID
    data_key: bytes
    rows: dict[str, list[Any]]


def run(*arguments: object, env: dict[str, str] = PASSPHRASE) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env=env)


def rows(box: Box) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    with connect_as_superuser(box.site, box.settings.database.name) as connection:
        for table in MAIN_TABLES:
            statement = sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY 1").format(sql.Identifier(table))
            found[table] = [row[0] for row in connection.execute(statement)]
    return found


@pytest.fixture(scope="module")
def made(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One organization with a row in every table, and Keycloak's database with a row of its own."""
    box.start("postgres")
    folder = tmp_path_factory.mktemp("backups")
    had_keycloak = _knows_keycloak(box)
    if not had_keycloak:
        create_keycloak_database(box.site, KEYCLOAK)
    with connect_as_superuser(box.site, KEYCLOAK) as connection:
        connection.execute("CREATE TABLE backup_test AS SELECT 'a member' AS name")
    try:
        yield asyncio.run(_make(box, folder))
    finally:
        with connect_as_superuser(box.site, KEYCLOAK) as connection:
            connection.execute("DROP TABLE backup_test")
        if not had_keycloak:
            with connect_as_superuser(box.site, "postgres") as connection:
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(KEYCLOAK)))


async def _make(box: Box, folder: Path) -> Made:
    async with Data.of(box.settings) as data, data.tenant() as tenant:
        async with data.work(tenant.organization_id) as uow:
            organization = await uow.session.get_one(Organization, tenant.organization_id)
            recording_id = (await uow.session.scalars(select(Recording.id))).one()
            key, wrapped = data.keys.new_data_key(organization.id, organization.wrapped_key, recording_id)
            await uow.session.execute(
                update(Recording).values(
                    wrapped_data_key=wrapped, state="stored", size_bytes=1234, sha256="00"
                )
            )
        before = rows(box)
        answer = await asyncio.to_thread(run, "create", "--to", folder, "--directory", box.directory)
        assert answer.exit_code == 0, answer
        (file,) = folder.iterdir()
        assert answer.output == f"{file}: {file.stat().st_size} bytes, verified\n"
        return Made(file, tenant.organization_id, recording_id, key, before)


@pytest.fixture
def second(box: Box) -> Iterator[Path]:
    """The folder of a box that is not there yet."""
    directory = REPOSITORY / "var" / f"test-{TEST_PORT}-restored"
    assert box.directory != directory
    _remove(directory)
    yield directory
    _remove(directory)


def _remove(directory: Path) -> None:
    if Box.exists(directory):
        Box.open(directory).stop_all()
    shutil.rmtree(directory, ignore_errors=True)


def test_an_empty_box_gets_back_what_was_there(made: Made, second: Path) -> None:
    arguments = ("restore", made.file, "--directory", second, "--yes", "--port-base", TEST_PORT + 1200)
    answer = run(*arguments)
    assert answer.exit_code == 0, answer
    assert " in the bucket recordings, which no backup holds." in answer.output
    restored = Box.open(second)
    assert restored.running() == []
    restored.start("postgres")
    found = rows(restored)
    assert found == made.rows, "the seed, or a migration, has come on top"
    assert found["calls"]
    assert found["bookings"]
    assert asyncio.run(_opens(restored, made)) == made.data_key
    with connect_as_superuser(restored.site, KEYCLOAK) as connection:
        assert connection.execute("SELECT name FROM backup_test").fetchall() == [("a member",)]
    assert _databases(restored) == {"postgres", KEYCLOAK, restored.settings.database.name}
    assert asyncio.run(_shown(restored))["File"] == made.file.name

    again = run(*arguments)
    assert isinstance(again.exception, Conflict)
    assert again.exception.code == "not_empty"
    with connect_as_superuser(restored.site, restored.settings.database.name) as connection:
        connection.execute("UPDATE organizations SET name = 'Changed'")
    changed = rows(restored)
    for crafted, code in that_cannot_be_restored(made.file, PASSPHRASE[PASSPHRASE_VARIABLE], second):
        refused = run("restore", crafted, "--directory", second, "--yes", "--replace")
        assert isinstance(refused.exception, TrunklineError)
        assert refused.exception.code == code, crafted.name
        assert rows(restored) == changed
        assert _databases(restored) == {"postgres", KEYCLOAK, restored.settings.database.name}
    assert run(*arguments, "--replace").exit_code == 0
    assert rows(restored) == made.rows
    assert _databases(restored) == {"postgres", KEYCLOAK, restored.settings.database.name}


async def _opens(box: Box, made: Made) -> bytes:
    """With the keys that lie in the restored box, by the role and under the policies of the app."""
    async with Data.of(box.settings) as data, data.work(made.organization_id) as uow:
        organization = await uow.session.get_one(Organization, made.organization_id)
        recording = await uow.session.get_one(Recording, made.recording_id)
        assert recording.wrapped_data_key is not None
        return data.keys.open_data_key(
            organization.id, organization.wrapped_key, recording.id, recording.wrapped_data_key
        )


async def _shown(box: Box) -> dict[str, str]:
    async with Data.of(box.settings) as data, UnitOfWork(data.app, None) as uow:
        found = await facts(uow, OPERATOR, box.settings)
    return {fact.name: fact.value for fact in found["Backups"]}


def test_the_box_shows_its_last_backup(box: Box, made: Made) -> None:
    shown = asyncio.run(_shown(box))
    assert shown["File"] == made.file.name
    with connect_as_superuser(box.site, box.settings.database.name) as connection:
        kept = connection.execute("UPDATE box SET last_backup = NULL RETURNING 1").fetchone()
        assert kept
    assert shown["Last backup"].endswith("UTC")
    assert "No backup was made yet" in asyncio.run(_shown(box))["Last backup"]


def test_a_restore_that_fails_changes_nothing(box: Box, made: Made, second: Path, tmp_path: Path) -> None:
    data = bytearray(made.file.read_bytes())
    data[-100] ^= 1
    damaged = tmp_path / "damaged.tlbackup"
    damaged.write_bytes(data)
    answer = run("restore", damaged, "--directory", second, "--yes")
    assert isinstance(answer.exception, IntegrityError)
    assert not second.exists()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:-60] + bytes([data[-60] ^ 1]) + data[-59:], "altered"),
        (lambda data: b"no backup at all", "not_a_backup"),
    ],
)
def test_verify_says_what_is_wrong(made: Made, tmp_path: Path, damage: Any, code: str) -> None:
    file = tmp_path / "damaged.tlbackup"
    file.write_bytes(damage(made.file.read_bytes()))
    answer = run("verify", file)
    assert isinstance(answer.exception, IntegrityError)
    assert answer.exception.code == code


def test_verify_wants_the_passphrase(made: Made, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase\n")
    answer = run("verify", made.file, "--passphrase-file", wrong)
    assert isinstance(answer.exception, IntegrityError)
    assert answer.exception.code == "wrong_passphrase"
    right = tmp_path / "right"
    right.write_text(PASSPHRASE[PASSPHRASE_VARIABLE] + "\n")
    answer = run("verify", made.file, "--passphrase-file", right, env={})
    assert answer.exit_code == 0
    assert answer.output.endswith("whole and unaltered\n")
    assert "secrets/box_key" in answer.output
    assert isinstance(run("verify", made.file, env={}).exception, InvalidInput)
    assert isinstance(run("verify", tmp_path / "none").exception, NotFound)


def test_list_needs_no_passphrase(made: Made, tmp_path: Path) -> None:
    answer = run("list", made.file.parent, env={})
    assert answer.exit_code == 0
    assert answer.output.startswith(f"{made.file.name}  20")
    (tmp_path / "x.tlbackup").write_bytes(b"x")
    answer = run("list", tmp_path, env={})
    assert (answer.exit_code, answer.output) == (1, "x.tlbackup  NOT A BACKUP, or damaged\n")


def test_nothing_plain_is_in_the_file(box: Box, made: Made) -> None:
    data = made.file.read_bytes()
    for plain in (secret_path(box.directory, "box_key").read_bytes().strip(), b"PGDMP", b"organizations"):
        assert plain not in data
    assert made.file.stat().st_mode & 0o777 == 0o600


def test_the_box_writes_down_who_took_a_copy(box: Box, made: Made) -> None:
    with connect_as_superuser(box.site, box.settings.database.name) as connection:
        entries = connection.execute(
            "SELECT subject, actor_name FROM audit_entries WHERE action = 'box.backup'"
        ).fetchall()
    assert (f"backup:{made.file.name}", "The operator at the box") in entries


def test_nobody_is_there_to_be_asked(box: Box, made: Made) -> None:
    answer = run("restore", made.file, "--directory", box.directory)
    assert isinstance(answer.exception, InvalidInput)
    assert answer.exception.field == "yes"


def test_a_failed_dump_leaves_no_file(
    box: Box, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump gives up at once when a table of the database is taken away from it for too long."""
    monkeypatch.setattr("appliance.backups.postgres.LOCK_TIMEOUT_SECONDS", 1)
    with connect_as_superuser(box.site, KEYCLOAK) as connection:
        connection.autocommit = False
        connection.execute("LOCK TABLE backup_test IN ACCESS EXCLUSIVE MODE")
        answer = run("create", "--to", tmp_path, "--directory", box.directory)
        connection.rollback()
    assert isinstance(answer.exception, Unavailable)
    assert "pg_dump" in str(answer.exception)
    assert list(tmp_path.iterdir()) == []


def _knows_keycloak(box: Box) -> bool:
    return KEYCLOAK in _databases(box)


def _databases(box: Box) -> set[str]:
    with connect_as_superuser(box.site, "postgres") as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
    return {row[0] for row in found}
