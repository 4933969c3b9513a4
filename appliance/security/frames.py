"""Frames of an encrypted stream, as recordings (docs/adr/0010) and backups (docs/adr/0197) have them.

    frame: u32 (bit 31: final, bits 0-30: length of what follows) | ciphertext and tag

AES-256-GCM. The nonce of a chunk is its index and its final flag; both are authenticated, behind the context
that says which stream it is: a chunk that was cut, moved, repeated or taken from another stream is found.
Numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16
U32 = struct.Struct(">I")
FINAL = 1 << 31
"""The flag in a frame's first word; the other bits are the length."""
_NONCE = struct.Struct(">QI")


class FrameCipher:
    """Seals and opens the chunks of one stream. The key is of that stream alone."""

    def __init__(self, key: bytes, context: bytes) -> None:
        self._aead = AESGCM(key)
        self._context = context

    def seal(self, index: int, plain: bytes, *, final: bool) -> bytes:
        """The frame of one chunk."""
        nonce = _NONCE.pack(index, final)
        sealed = self._aead.encrypt(nonce, plain, self._context + nonce)
        return U32.pack(len(sealed) | (FINAL if final else 0)) + sealed

    def open(self, index: int, sealed: bytes, *, final: bool) -> bytes:
        """The plain bytes. Raises cryptography's InvalidTag if the chunk is not the one that belongs here."""
        nonce = _NONCE.pack(index, final)
        return self._aead.decrypt(nonce, sealed, self._context + nonce)


def read_frame(stream: BinaryIO, most_plain_bytes: int) -> tuple[bool, bytes] | None:
    """`(final, sealed)` of the next frame, or None if the stream ends before the frame does.

    ValueError for a length that no frame has.
    """
    start = stream.read(U32.size)
    if len(start) < U32.size:
        return None
    (word,) = U32.unpack(start)
    length = word & ~FINAL
    if not TAG_BYTES <= length <= most_plain_bytes + TAG_BYTES:
        raise ValueError("a frame of an impossible length")
    sealed = stream.read(length)
    return (bool(word & FINAL), sealed) if len(sealed) == length else None
