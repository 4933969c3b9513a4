"""The encrypted stream of a backup: a header, then AES-256-GCM chunks. docs/adr/0197 says why.

    magic "TRKBAK01" | header length u32 | header (JSON) | frame | frame | ... | final frame
    frame: u32 (bit 31: final, bits 0-30: length of what follows) | ciphertext and tag

The key is made of the operator's passphrase by scrypt, with a salt of the file's own, and of the whole
header: a changed header opens nothing. The nonce of a chunk is its index and its final flag; both are
authenticated, so that a chunk that was cut, moved or repeated is found. The final chunk is empty. Numbers are
big-endian. Memory is bounded by a chunk and by what scrypt needs (128 MiB).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Buffer, override

from appliance.errors import IntegrityError, InvalidInput
from appliance.security.frames import TAG_BYTES, U32, FrameCipher, read_frame

MAGIC = b"TRKBAK01"
CHUNK_BYTES = 1024 * 1024
LEAST_PASSPHRASE = 12
"""Letters."""
_KEY_BYTES = 32
_CHECK_BYTES = 16
_MAX_HEADER_BYTES = 4096
_OTHER_COPY = "Use another copy of the backup."


class Header(BaseModel):
    """What may be read without the passphrase, and not be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    made_at: datetime
    version: str
    """Of Trunkline."""
    schema_revision: str
    salt: str
    scrypt_cost: int = Field(default=2**17, ge=2**10, le=2**18)
    """scrypt's N; r is 8 and p is 1."""


@dataclass(frozen=True)
class _Keys:
    chunks: FrameCipher
    check: bytes


def new_header(made_at: datetime, version: str, schema_revision: str, *, scrypt_cost: int = 2**17) -> Header:
    """With a salt of its own. Only tests want a lower cost."""
    salt = base64.b64encode(secrets.token_bytes(16)).decode()
    return Header(
        made_at=made_at, version=version, schema_revision=schema_revision, salt=salt, scrypt_cost=scrypt_cost
    )


def check_passphrase(passphrase: str) -> str:
    """InvalidInput for one that could be guessed by trying all of its length."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise InvalidInput(
            f"The passphrase has less than {LEAST_PASSPHRASE} letters.", field="passphrase", code="passphrase"
        )
    return passphrase


def _keys(passphrase: str, header: Header, header_bytes: bytes) -> _Keys:
    salt = base64.b64decode(header.salt, validate=True)
    key = Scrypt(salt=salt, length=_KEY_BYTES, n=header.scrypt_cost, r=8, p=1).derive(passphrase.encode())
    backup = sha256(header_bytes).digest()
    info = b"trunkline/1/backup/" + backup
    derived = HKDF(SHA256(), _KEY_BYTES + _CHECK_BYTES, salt=None, info=info).derive(key)
    return _Keys(FrameCipher(derived[:_KEY_BYTES], backup), derived[_KEY_BYTES:])


def read_header(source: BinaryIO) -> tuple[Header, bytes]:
    """The header and its exact bytes. IntegrityError if this is not the start of a backup."""
    start = source.read(len(MAGIC) + U32.size)
    if len(start) != len(MAGIC) + U32.size or not start.startswith(MAGIC):
        raise IntegrityError("This is not a backup of Trunkline.", code="not_a_backup")
    (length,) = U32.unpack(start[len(MAGIC) :])
    text = source.read(length) if 0 < length <= _MAX_HEADER_BYTES else b""
    if len(text) != length or not text:
        _altered("its header is damaged")
    try:
        header = Header.model_validate_json(text)
        if header.scrypt_cost & (header.scrypt_cost - 1) or not base64.b64decode(header.salt, validate=True):
            _altered("its header is damaged")
    except (ValidationError, binascii.Error) as error:
        raise IntegrityError(
            "The backup was altered: its header is damaged.", remedy=_OTHER_COPY, code="altered"
        ) from error
    return header, start + text


class SealedWriter(io.RawIOBase):
    """A sink of plain bytes. What was written is a backup only after `finish`."""

    def __init__(self, sink: BinaryIO, passphrase: str, header: Header) -> None:
        super().__init__()
        text = header.model_dump_json().encode()
        head = MAGIC + U32.pack(len(text)) + text
        keys = _keys(check_passphrase(passphrase), header, head)
        self._sink, self._chunks = sink, keys.chunks
        self._index = 0
        self._waiting = bytearray()
        sink.write(head + keys.check)

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, plain: Buffer, /) -> int:
        view = memoryview(plain)
        self._waiting += view
        while len(self._waiting) >= CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), final=False)
            del self._waiting[:CHUNK_BYTES]
        return view.nbytes

    def finish(self) -> None:
        """Seals what waits and the end. Nothing may be written afterwards."""
        if self._waiting:
            self._seal(bytes(self._waiting), final=False)
            self._waiting.clear()
        self._seal(b"", final=True)

    def _seal(self, plain: bytes, *, final: bool) -> None:
        self._sink.write(self._chunks.seal(self._index, plain, final=final))
        self._index += 1


class SealedReader(io.RawIOBase):
    """The plain bytes of a backup. Every byte that `read` gives is authentic and in its place; that nothing
    is missing is known when `read` gives b"" without an error.

    IntegrityError, `code`: `not_a_backup`, `wrong_passphrase`, `truncated`, `altered`.
    """

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        super().__init__()
        self.header, head = read_header(source)
        check = source.read(_CHECK_BYTES)
        if len(check) != _CHECK_BYTES:
            _truncated()
        keys = _keys(passphrase, self.header, head)
        if not hmac.compare_digest(check, keys.check):
            raise IntegrityError(
                "The passphrase is not the one of this backup (or the head of the file was altered).",
                remedy="Give the passphrase with which it was made.",
                code="wrong_passphrase",
            )
        self._source, self._chunks = source, keys.chunks
        self._index = 0
        self._plain = memoryview(b"")
        self._ended = False

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._plain and not self._ended:
            self._next()
        taken = min(len(target), len(self._plain))
        target[:taken] = self._plain[:taken]
        self._plain = self._plain[taken:]
        return taken

    def _next(self) -> None:
        try:
            frame = read_frame(self._source, CHUNK_BYTES)
        except ValueError:
            _altered(f"chunk {self._index} has an impossible length")
        if frame is None:
            _truncated()
        final, sealed = frame
        if final != (len(sealed) == TAG_BYTES):
            _altered(f"chunk {self._index} has an impossible length")
        try:
            plain = self._chunks.open(self._index, sealed, final=final)
        except InvalidTag as error:
            raise IntegrityError(
                f"The backup was altered: chunk {self._index} is not the one that was written.",
                remedy=_OTHER_COPY,
                code="altered",
            ) from error
        if final and self._source.read(1):
            _altered("it goes on after its end")
        self._plain, self._ended = memoryview(plain), final
        self._index += 1


def _altered(how: str) -> NoReturn:
    raise IntegrityError(f"The backup was altered: {how}.", remedy=_OTHER_COPY, code="altered")


def _truncated() -> NoReturn:
    raise IntegrityError("The backup ends too early: it was cut off.", remedy=_OTHER_COPY, code="truncated")
