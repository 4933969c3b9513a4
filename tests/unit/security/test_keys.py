"""The hierarchy of keys: everything opens with its own key in its own place, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import IntegrityError, InvalidInput
from appliance.security.keys import FileKeyProvider, KeyRing
from appliance.security.sealing import new_key, seal, unseal
from appliance.settings import SecretFile, SecuritySettings

BOX_KEY = bytes(range(32))
KEYS = KeyRing(FileKeyProvider([BOX_KEY]))
ORGANIZATION = UUID(int=1)
RECORDING = UUID(int=2)
WRAPPED = KEYS.new_organization_key(ORGANIZATION)


def test_a_data_key_comes_back_through_all_wrappings() -> None:
    data_key, wrapped = KEYS.new_data_key(ORGANIZATION, WRAPPED, RECORDING)
    assert len(data_key) == 32
    assert KEYS.open_data_key(ORGANIZATION, WRAPPED, RECORDING, wrapped) == data_key
    assert data_key not in wrapped


def test_a_wrapped_key_opens_only_where_it_belongs() -> None:
    _, wrapped = KEYS.new_data_key(ORGANIZATION, WRAPPED, RECORDING)
    other = KEYS.new_organization_key(uuid4())
    with pytest.raises(IntegrityError):
        KEYS.open_data_key(ORGANIZATION, WRAPPED, uuid4(), wrapped)
    with pytest.raises(IntegrityError):
        KEYS.open_data_key(ORGANIZATION, other, RECORDING, wrapped)
    with pytest.raises(IntegrityError):
        KEYS.open_data_key(uuid4(), WRAPPED, RECORDING, wrapped)


def test_another_box_key_opens_nothing_and_says_so() -> None:
    with pytest.raises(IntegrityError, match="box key does not fit") as caught:
        KeyRing(FileKeyProvider([new_key()])).new_data_key(ORGANIZATION, WRAPPED, RECORDING)
    assert caught.value.code == "wrong_key"


def test_a_field_is_bound_to_its_column_and_row() -> None:
    row = uuid4()
    sealed = KEYS.encrypt_field(ORGANIZATION, WRAPPED, "trunks.auth_password", row, "pässwörd")
    assert KEYS.decrypt_field(ORGANIZATION, WRAPPED, "trunks.auth_password", row, sealed) == "pässwörd"
    with pytest.raises(IntegrityError):
        KEYS.decrypt_field(ORGANIZATION, WRAPPED, "trunks.inbound_password", row, sealed)
    with pytest.raises(IntegrityError):
        KEYS.decrypt_field(ORGANIZATION, WRAPPED, "trunks.auth_password", uuid4(), sealed)


def test_the_box_key_can_be_rotated_without_touching_what_lies_below() -> None:
    data_key, wrapped_data_key = KEYS.new_data_key(ORGANIZATION, WRAPPED, RECORDING)
    new = new_key()
    both = KeyRing(FileKeyProvider([new, BOX_KEY]))
    rewrapped = both.rewrap_organization_key(ORGANIZATION, WRAPPED)
    assert rewrapped != WRAPPED
    assert both.rewrap_organization_key(ORGANIZATION, rewrapped) == rewrapped
    only_new = KeyRing(FileKeyProvider([new]))
    assert only_new.open_data_key(ORGANIZATION, rewrapped, RECORDING, wrapped_data_key) == data_key
    with pytest.raises(IntegrityError):
        only_new.open_data_key(ORGANIZATION, WRAPPED, RECORDING, wrapped_data_key)


@given(st.binary(max_size=200), st.binary(max_size=40), st.data())
def test_a_sealed_value_with_any_bit_flipped_does_not_open(
    plain: bytes, belongs_to: bytes, data: st.DataObject
) -> None:
    sealed = seal(BOX_KEY, plain, belongs_to)
    assert unseal(BOX_KEY, sealed, belongs_to) == plain
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    altered = bytearray(sealed)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError):
        unseal(BOX_KEY, bytes(altered), belongs_to)
    with pytest.raises(IntegrityError):
        unseal(BOX_KEY, sealed[: data.draw(st.integers(0, len(sealed) - 1))], belongs_to)
    with pytest.raises(IntegrityError):
        unseal(BOX_KEY, sealed, belongs_to + b"x")


def test_the_same_value_is_never_sealed_alike() -> None:
    assert seal(BOX_KEY, b"a", b"") != seal(BOX_KEY, b"a", b"")


def test_the_file_may_hold_several_keys_the_first_is_current(tmp_path: Path) -> None:
    old, new = base64.b64encode(BOX_KEY).decode(), base64.b64encode(new_key()).decode()
    provider = FileKeyProvider.from_settings(_settings(tmp_path, f"{new}\n{old}\n"))
    assert not provider.is_current(WRAPPED)
    assert provider.is_current(KeyRing(provider).new_organization_key(ORGANIZATION))


@pytest.mark.parametrize(
    "content", ["not base64!", base64.b64encode(b"short").decode(), base64.b64encode(bytes(33)).decode()]
)
def test_a_bad_box_key_is_told(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        FileKeyProvider.from_settings(_settings(tmp_path, content))
    assert caught.value.field == "security.box_key"
    assert content not in str(caught.value)


def _settings(tmp_path: Path, content: str) -> SecuritySettings:
    file = tmp_path / "box_key"
    file.write_text(content)
    return SecuritySettings(box_key=SecretFile(file=file))
