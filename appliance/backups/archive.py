"""The archive inside of the encrypted stream: a tar of pieces, and at its end the manifest.

A part is of unknown size while it is written, a member of a tar is not: so a part lies in pieces,
`<name>.000000` and so on, of a bounded size each. `cat` puts them together.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO, NoReturn

from pydantic import ValidationError

from appliance.backups.manifest import Manifest, Part
from appliance.backups.stream import SealedReader, SealedWriter
from appliance.errors import IntegrityError

PIECE_BYTES = 4 * 1024 * 1024
_MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 1024 * 1024
_PIECE = re.compile(r"(?P<part>[a-z0-9_./-]{1,80})\.(?P<number>[0-9]{6})")


class ArchiveWriter:
    """Writes parts one after the other; `parts` is what the manifest must hold."""

    def __init__(self, sink: SealedWriter) -> None:
        self._sink = sink
        self._tar = tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.parts: list[Part] = []

    def add(self, name: str, content: Iterable[bytes]) -> None:
        """One part, of pieces of any length; an empty one is kept as an empty piece."""
        digest, size, number = sha256(), 0, 0
        waiting = bytearray()
        for data in content:
            digest.update(data)
            size += len(data)
            waiting += data
            while len(waiting) >= PIECE_BYTES:
                self._member(f"{name}.{number:06}", bytes(waiting[:PIECE_BYTES]))
                del waiting[:PIECE_BYTES]
                number += 1
        if waiting or number == 0:
            self._member(f"{name}.{number:06}", bytes(waiting))
        self.parts.append(Part(name=name, size_bytes=size, sha256=digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        self._member(_MANIFEST, manifest.model_dump_json().encode())
        self._tar.close()
        self._sink.finish()

    def _member(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        member.mode = 0o600
        self._tar.addfile(member, io.BytesIO(data))


class ArchiveReader:
    """`for part, data in reader:` goes through the whole backup; behind the loop, `manifest` is proven.

    Nothing may be believed to be whole before the loop has ended: IntegrityError, at its end at the latest,
    when anything is missing, altered or not as the manifest says.
    """

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        self._stream = SealedReader(source, passphrase)
        self.header = self._stream.header
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        assert self._manifest is not None, "the archive was not read to its end"
        return self._manifest

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        found: list[Part] = []
        manifest: Manifest | None = None
        name, number, size, digest = "", 0, 0, sha256()
        for member, data in self._members():
            if manifest is not None:
                _odd("something comes behind the manifest")
            if member == _MANIFEST:
                manifest = _manifest(data)
                continue
            piece = _PIECE.fullmatch(member)
            if piece is None:
                _odd("a piece has an unknown name")
            if piece["part"] != name:
                if name:
                    found.append(Part(name=name, size_bytes=size, sha256=digest.hexdigest()))
                name, number, size, digest = piece["part"], 0, 0, sha256()
            if int(piece["number"]) != number:
                _odd("a piece is missing")
            number += 1
            size += len(data)
            digest.update(data)
            yield name, data
        if name:
            found.append(Part(name=name, size_bytes=size, sha256=digest.hexdigest()))
        if manifest is None or tuple(found) != manifest.parts:
            _odd("its parts are not those of its manifest")
        self._manifest = manifest

    def _members(self) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(fileobj=self._stream, mode="r|", bufsize=64 * 1024) as tar:
                for member in tar:
                    if not member.isreg() or member.size > PIECE_BYTES:
                        _odd("a piece is no plain file of a possible size")
                    file = tar.extractfile(member)
                    data = file.read() if file is not None else b""
                    tar.members = []  # type: ignore[assignment]  # else it remembers each of them
                    yield member.name, data
        except tarfile.TarError as error:
            raise IntegrityError("The backup is whole, but is no archive.", code="altered") from error
        while rest := self._stream.read(64 * 1024):
            if rest.strip(b"\0"):
                _odd("something comes behind the archive")


def _manifest(data: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(data[:_MAX_MANIFEST_BYTES])
    except ValidationError as error:
        raise IntegrityError(
            "The manifest of the backup cannot be read.",
            remedy="Was it made by a newer release?",
            code="altered",
        ) from error


def _odd(how: str) -> NoReturn:
    raise IntegrityError(f"The backup is not as it was written: {how}.", code="altered")
