"""AES-256-GCM with what the ciphertext belongs to bound into it (NIST SP 800-38D)."""

from __future__ import annotations

import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.errors import IntegrityError

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = b"\x01"
_KEY_ID_BYTES = 8


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def key_id(key: bytes) -> bytes:
    """A short name of a key, which tells nothing of it: so that a sealed value says what it needs."""
    return sha256(b"trunkline key id\x00" + key).digest()[:_KEY_ID_BYTES]


def sealed_with(sealed: bytes) -> bytes:
    """The id of the key that a value was sealed with."""
    if len(sealed) < 1 + _KEY_ID_BYTES + NONCE_BYTES + 16 or sealed[:1] != _VERSION:
        raise IntegrityError("A sealed value is damaged.", remedy="Restore it from a backup.")
    return sealed[1 : 1 + _KEY_ID_BYTES]


def seal(key: bytes, plain: bytes, belongs_to: bytes) -> bytes:
    """Encrypts `plain`; it opens only with the same key and the same `belongs_to`.

    Layout: version (1 byte), key id (8), nonce (12), ciphertext and tag.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    head = _VERSION + key_id(key)
    return head + nonce + AESGCM(key).encrypt(nonce, plain, head + belongs_to)


def unseal(key: bytes, sealed: bytes, belongs_to: bytes) -> bytes:
    """The plain bytes. IntegrityError if the key is another one, or anything was changed or moved."""
    if sealed_with(sealed) != key_id(key):
        raise IntegrityError(
            "A value was sealed with another key.", remedy="Put the key in place with which it was sealed."
        )
    head, rest = sealed[: 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
    try:
        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head + belongs_to)
    except InvalidTag as error:
        raise IntegrityError(
            "A sealed value does not fit its key or its place.", remedy="Restore it from a backup."
        ) from error
