"""The box key is changed while the box goes on: first both keys are in its file, then the new one alone."""

from __future__ import annotations

import base64
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from sqlalchemy import func, select
from typer.testing import CliRunner

from appliance.cli.database import app as command
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import IntegrityError
from appliance.organizations.service import rewrap_keys
from appliance.organizations.tables import Organization
from appliance.security.keys import FileKeyProvider, KeyRing
from appliance.security.sealing import new_key
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box
from tests.integration.database.world import Data


async def test_a_rotation_goes_there_and_back_and_every_key_still_opens(box: Box, data: Data) -> None:
    """Back again, because the other tests of the box go on with its own key."""
    old, new = base64.b64decode(box.settings.security.box_key.reveal()), new_key()
    async with data.tenant() as tenant:

        async def wrapped_key() -> bytes:
            async with data.work(tenant.organization_id) as uow:
                return (await uow.session.get_one(Organization, tenant.organization_id)).wrapped_key

        recording_id = uuid4()
        key, wrapped = data.keys.new_data_key(tenant.organization_id, await wrapped_key(), recording_id)
        async with UnitOfWork(data.router, None) as uow:
            organizations = await uow.session.scalar(select(func.count()).select_from(Organization))

        forth, back = (KeyRing(FileKeyProvider(keys)) for keys in ([new, old], [old, new]))
        try:
            assert await rewrap_keys(data.router, data.app, forth) == organizations
            assert await rewrap_keys(data.router, data.app, forth) == 0
            only_new = KeyRing(FileKeyProvider([new]))
            opened = only_new.open_data_key(
                tenant.organization_id, await wrapped_key(), recording_id, wrapped
            )
            assert opened == key
            with pytest.raises(IntegrityError):
                data.keys.open_data_key(tenant.organization_id, await wrapped_key(), recording_id, wrapped)
        finally:
            await rewrap_keys(data.router, data.app, back)
        opened = data.keys.open_data_key(tenant.organization_id, await wrapped_key(), recording_id, wrapped)
        assert opened == key


def test_the_command_refuses_a_file_without_the_old_key(box: Box, tmp_path: Path) -> None:
    box.start("postgres")
    assert box.seed.organization_id
    key = tmp_path / "box_key"
    key.write_text(base64.b64encode(new_key()).decode())
    tree = yaml.safe_load(box.settings_file.read_text())
    tree["security"]["box_key"]["file"] = str(key)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree))
    answer = CliRunner().invoke(command, ["rewrap"], env={SETTINGS_VARIABLE: str(settings)})
    assert isinstance(answer.exception, IntegrityError)
    assert answer.exception.code == "wrong_key"


def test_the_command_has_nothing_to_do_with_the_same_key(box: Box) -> None:
    box.start("postgres")
    answer = CliRunner().invoke(command, ["rewrap"], env=box.environment)
    assert (answer.exit_code, answer.output) == (0, "0 keys wrapped anew\n")
