"""The hierarchy of keys: box key -> organization key -> data key of a recording, and encrypted fields.

Each wrapped key is bound to whose it is: a wrapped key that is moved to another row does not open. Deleting a
wrapped key is the deletion of all that lies below it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import IntegrityError, InvalidInput
from appliance.security.sealing import KEY_BYTES, key_id, new_key, seal, sealed_with, unseal
from appliance.settings import SecuritySettings


class KeyProvider(Protocol):
    """Who holds the box key: a file, and in other houses a hardware module or a vault."""

    def wrap(self, key: bytes, belongs_to: bytes) -> bytes:
        """Encrypts a key with the current box key."""
        ...

    def unwrap(self, wrapped: bytes, belongs_to: bytes) -> bytes:
        """The key again. IntegrityError if the box key is unknown or `belongs_to` is another."""
        ...

    def is_current(self, wrapped: bytes) -> bool:
        """Whether it is wrapped with the current box key, or has to be rewrapped after a rotation."""
        ...


class FileKeyProvider:
    """Box keys from the secret file: base64, one a line. The first wraps, the others only unwrap.

    To rotate, put a new line on top, rewrap (`rewrap_organization_key`), then take the old line away.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise InvalidInput("There is no box key.", field="security.box_key")
        if any(len(key) != KEY_BYTES for key in keys):
            raise InvalidInput(f"A box key must have {KEY_BYTES} bytes.", field="security.box_key")
        self._current = keys[0]
        self._by_id = {key_id(key): key for key in keys}

    @classmethod
    def from_settings(cls, settings: SecuritySettings) -> FileKeyProvider:
        try:
            keys = [base64.b64decode(line, validate=True) for line in settings.box_key.reveal().split()]
        except binascii.Error as error:
            raise InvalidInput("The box key is not base64.", field="security.box_key") from error
        return cls(keys)

    def wrap(self, key: bytes, belongs_to: bytes) -> bytes:
        return seal(self._current, key, belongs_to)

    def unwrap(self, wrapped: bytes, belongs_to: bytes) -> bytes:
        key = self._by_id.get(sealed_with(wrapped))
        if key is None:
            raise IntegrityError(
                "The box key does not fit: the organization's key was wrapped with another one.",
                remedy="Put the box key back with which this data was written (security.box_key).",
                code="wrong_key",
            )
        return unseal(key, wrapped, belongs_to)

    def is_current(self, wrapped: bytes) -> bool:
        return sealed_with(wrapped) == key_id(self._current)


class KeyRing:
    """What the services use. Every wrapped key goes in and out as bytes; nothing is kept."""

    def __init__(self, provider: KeyProvider) -> None:
        self._provider = provider

    @classmethod
    def from_settings(cls, settings: SecuritySettings) -> KeyRing:
        return cls(FileKeyProvider.from_settings(settings))

    def new_organization_key(self, organization_id: UUID) -> bytes:
        """A new organization key, wrapped: the value of `organizations.wrapped_key`."""
        return self._provider.wrap(new_key(), _organization(organization_id))

    def rewrap_organization_key(self, organization_id: UUID, wrapped_key: bytes) -> bytes:
        """The same organization key under the current box key; the same bytes if it is already."""
        if self._provider.is_current(wrapped_key):
            return wrapped_key
        belongs_to = _organization(organization_id)
        return self._provider.wrap(self._provider.unwrap(wrapped_key, belongs_to), belongs_to)

    def new_data_key(
        self, organization_id: UUID, wrapped_key: bytes, recording_id: UUID
    ) -> tuple[bytes, bytes]:
        """A new data key of 32 bytes and its wrapped form: `(data_key, recordings.wrapped_data_key)`."""
        data_key = new_key()
        wrapping = self._derived(organization_id, wrapped_key, b"data keys")
        return data_key, seal(wrapping, data_key, b"data key\x00" + recording_id.bytes)

    def open_data_key(
        self, organization_id: UUID, wrapped_key: bytes, recording_id: UUID, wrapped_data_key: bytes
    ) -> bytes:
        """The data key of a recording. IntegrityError if any key or id is not the right one."""
        wrapping = self._derived(organization_id, wrapped_key, b"data keys")
        return unseal(wrapping, wrapped_data_key, b"data key\x00" + recording_id.bytes)

    def encrypt_field(
        self, organization_id: UUID, wrapped_key: bytes, field: str, row_id: UUID, plain: str
    ) -> bytes:
        """A column's secret, such as `trunks.auth_password`, bound to the column and the row."""
        key = self._derived(organization_id, wrapped_key, b"fields")
        return seal(key, plain.encode(), _field(field, row_id))

    def decrypt_field(
        self, organization_id: UUID, wrapped_key: bytes, field: str, row_id: UUID, sealed: bytes
    ) -> str:
        key = self._derived(organization_id, wrapped_key, b"fields")
        return unseal(key, sealed, _field(field, row_id)).decode()

    def _derived(self, organization_id: UUID, wrapped_key: bytes, purpose: bytes) -> bytes:
        key = self._provider.unwrap(wrapped_key, _organization(organization_id))
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"trunkline/1/" + purpose).derive(key)


def _organization(organization_id: UUID) -> bytes:
    return b"organization key\x00" + organization_id.bytes


def _field(field: str, row_id: UUID) -> bytes:
    return b"field\x00" + field.encode() + b"\x00" + row_id.bytes
