"""The archive in the stream: the parts that come out are those of the manifest."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.backups.archive import PIECE_BYTES, ArchiveReader, ArchiveWriter
from appliance.backups.manifest import Manifest, Part
from appliance.backups.stream import SealedWriter, new_header
from appliance.errors import IntegrityError

PASSPHRASE = "correct horse battery"
NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)
HEADER = new_header(NOON, "1.0", "0016", scrypt_cost=2**10)


def manifest(parts: list[Part]) -> Manifest:
    return Manifest(
        made_at=NOON,
        version="1.0",
        schema_revision="0016",
        postgres="15.1",
        parts=tuple(parts),
        rows={"calls": 1},
        buckets=(),
    )


def read(data: bytes) -> tuple[dict[str, bytes], Manifest]:
    reader = ArchiveReader(io.BytesIO(data), PASSPHRASE)
    found: dict[str, bytes] = {}
    for part, piece in reader:
        found[part] = found.get(part, b"") + piece
    return found, reader.manifest


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.lists(st.binary(max_size=2000), max_size=4), max_size=5))
def test_parts_come_out_as_they_went_in(contents: list[list[bytes]]) -> None:
    sink = io.BytesIO()
    writer = ArchiveWriter(SealedWriter(sink, PASSPHRASE, HEADER))
    for number, content in enumerate(contents):
        writer.add(f"database/{number}.dump", iter(content))
    writer.finish(manifest(writer.parts))
    found, said = read(sink.getvalue())
    assert found == {f"database/{n}.dump": b"".join(content) for n, content in enumerate(contents)}
    assert [part.size_bytes for part in said.parts] == [len(part) for part in found.values()]


def test_a_long_part_lies_in_pieces() -> None:
    sink = io.BytesIO()
    writer = ArchiveWriter(SealedWriter(sink, PASSPHRASE, HEADER))
    long = bytes(1000) * (2 * PIECE_BYTES // 1000 + 1)
    writer.add("database/x.dump", iter([long]))
    writer.add("secrets/box_key", iter([b"key"]))
    writer.finish(manifest(writer.parts))
    pieces = [(part, len(data)) for part, data in ArchiveReader(io.BytesIO(sink.getvalue()), PASSPHRASE)]
    assert [part for part, _ in pieces] == ["database/x.dump"] * 3 + ["secrets/box_key"]
    assert max(size for _, size in pieces) == PIECE_BYTES


def sealed_tar(members: list[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> bytes:
    sink = io.BytesIO()
    stream = SealedWriter(sink, PASSPHRASE, HEADER)
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data) if kind == tarfile.REGTYPE else 0, kind
            tar.addfile(info, io.BytesIO(data))
    stream.finish()
    return sink.getvalue()


KEY = Part(name="secrets/box_key", size_bytes=3, sha256="0" * 64)


@pytest.mark.parametrize(
    "members",
    [
        [],
        [("secrets/box_key.000000", b"key")],
        [("manifest.json", manifest([KEY]).model_dump_json().encode())],
        [("secrets/box_key.000000", b"key"), ("manifest.json", manifest([]).model_dump_json().encode())],
        [("secrets/box_key.000000", b"key"), ("manifest.json", manifest([KEY]).model_dump_json().encode())],
        [("secrets/box_key.000001", b"key"), ("manifest.json", manifest([KEY]).model_dump_json().encode())],
        [("manifest.json", manifest([]).model_dump_json().encode()), ("secrets/box_key.000000", b"key")],
        [("manifest.json", b"{}")],
        [("../../etc/passwd", b"x")],
    ],
    ids=["empty", "no-manifest", "missing", "unnamed", "digest", "piece", "behind", "not-ours", "odd-name"],
)
def test_what_is_not_as_the_manifest_says_is_an_error(members: list[tuple[str, bytes]]) -> None:
    with pytest.raises(IntegrityError):
        read(sealed_tar(members))


def test_a_link_is_an_error() -> None:
    with pytest.raises(IntegrityError):
        read(sealed_tar([("secrets/box_key.000000", b"")], tarfile.SYMTYPE))
