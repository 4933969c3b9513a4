"""The settings file of a lite box, and its secrets."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from appliance.settings import load_settings
from provisioning.lite.box import Box
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import SECRETS, merge, secret_path, write_settings


def _content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_second_preparation_changes_nothing(tmp_path: Path) -> None:
    Box(tmp_path / "box", 30000).prepare()
    before = _content(tmp_path)
    Box(tmp_path / "box", 30000).prepare()
    assert _content(tmp_path) == before


def test_secrets_are_for_their_owner_alone_and_not_in_the_file(tmp_path: Path) -> None:
    write_settings(tmp_path, Ports(30000), {})
    text = (tmp_path / "settings.yaml").read_text()
    values = set[str]()
    for name in SECRETS:
        path = secret_path(tmp_path, name)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        value = path.read_text().strip()
        assert len(value) >= (20 if name == "first_login_password" else 43)
        assert value not in text
        values.add(value)
    assert len(values) == len(SECRETS)
    assert len(base64.b64decode(secret_path(tmp_path, "box_key").read_text(), validate=False)) == 32


def test_every_port_of_the_settings_is_the_boxs(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, Ports(30000), {})
    ports = [
        settings.database.port,
        settings.redis.port,
        settings.gateway.sip_port,
        settings.gateway.sip_tls_port,
        settings.gateway.audiosocket_port,
        settings.tool_api.port,
        settings.worker.health_port,
        settings.bridge.health_port,
        settings.jobs.health_port,
        *(
            int(address.rsplit(":", 1)[1].split("/")[0])
            for address in (
                settings.rooms.url,
                settings.object_store.endpoint,
                settings.gateway.ari_url,
                settings.speech.stt_address,
                settings.language.base_url,
            )
        ),
    ]
    assert len(set(ports)) == len(ports)
    assert all(30000 <= port < 30016 for port in ports)


@pytest.mark.parametrize("overrides", [{"worker": {"max_calls": 3}}, {"worker.max_calls": 3}])
def test_overrides_lie_over_the_profile(tmp_path: Path, overrides: dict[str, Any]) -> None:
    settings = write_settings(tmp_path, Ports(30000), overrides)
    assert settings.worker.max_calls == 3
    assert settings.worker.health_port == 30013
    assert load_settings(tmp_path / "settings.yaml").worker.max_calls == 3


def test_an_override_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        write_settings(tmp_path, Ports(30000), {"worker.max_cals": 3})
    assert caught.value.field == "worker.max_cals"


_trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=8
)
_roots = st.dictionaries(st.sampled_from("abcd"), _trees, max_size=4)


@given(_roots, _roots)
def test_merging(tree: dict[str, Any], over: dict[str, Any]) -> None:
    """What is laid over is all there; the rest stays; merging again changes nothing."""
    merged = merge(tree, over)
    assert merge(merged, over) == merged
    assert merge(tree, {}) == tree
    for key, value in tree.items():
        if key not in over:
            assert merged[key] == value
    for key, value in over.items():
        if not isinstance(value, dict):
            assert merged[key] == value
