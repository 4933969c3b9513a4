"""Whatever happens to a backup's bytes: either all of the plain text comes out, or an error does."""

from __future__ import annotations

import base64
import io
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.backups.stream import CHUNK_BYTES, SealedReader, SealedWriter, check_passphrase, new_header
from appliance.errors import IntegrityError, InvalidInput

PASSPHRASE = "correct horse battery"
HEADER = new_header(datetime(2030, 1, 7, 12, tzinfo=UTC), "1.0", "0016", scrypt_cost=2**10)
quick = settings(deadline=None, derandomize=True, max_examples=150)


def sealed(plain: bytes) -> bytes:
    sink = io.BytesIO()
    writer = SealedWriter(sink, PASSPHRASE, HEADER)
    writer.write(plain)
    writer.finish()
    return sink.getvalue()


def opened(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return SealedReader(io.BytesIO(data), passphrase).read()


PLAIN = bytes(range(256)) * 8
SEALED = sealed(PLAIN)
LONG_PLAIN = b"".join(bytes([n]) * CHUNK_BYTES for n in range(3)) + b"the end"
LONG = sealed(LONG_PLAIN)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_goes_in_comes_out(size: int) -> None:
    plain = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    assert opened(sealed(plain)) == plain


@quick
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_how_it_is_cut_into_writes_does_not_matter(pieces: list[bytes]) -> None:
    sink = io.BytesIO()
    writer = SealedWriter(sink, PASSPHRASE, HEADER)
    for piece in pieces:
        writer.write(piece)
    writer.finish()
    assert opened(sink.getvalue()) == b"".join(pieces)


@quick
@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_an_error(place: int, change: int) -> None:
    data = bytearray(SEALED)
    data[place] ^= change
    with pytest.raises(IntegrityError):
        opened(bytes(data))


@quick
@given(st.integers(0, len(SEALED) - 1))
def test_a_cut_anywhere_is_an_error(length: int) -> None:
    with pytest.raises(IntegrityError):
        opened(SEALED[:length])


@quick
@given(st.binary(max_size=200))
def test_other_bytes_are_no_backup(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        opened(data)


@quick
@given(st.binary(min_size=1, max_size=100))
def test_nothing_may_follow(more: bytes) -> None:
    with pytest.raises(IntegrityError) as told:
        opened(SEALED + more)
    assert told.value.code == "altered"


def test_the_error_says_what_it_is() -> None:
    def code(data: bytes, passphrase: str = PASSPHRASE) -> str:
        with pytest.raises(IntegrityError) as told:
            opened(data, passphrase)
        return told.value.code

    flipped = bytearray(LONG)
    flipped[len(LONG) // 2] ^= 1
    assert code(LONG, "another passphrase") == "wrong_passphrase"
    assert code(LONG[:-1]) == "truncated"
    assert code(LONG[: len(LONG) // 2]) == "truncated"
    assert code(bytes(flipped)) == "altered"
    assert code(b"PK\x03\x04" + LONG) == "not_a_backup"


def frames(data: bytes) -> tuple[bytes, list[bytes]]:
    (length,) = struct.unpack(">I", data[8:12])
    at = 12 + length + 16
    head, found = data[:at], []
    while at < len(data):
        (word,) = struct.unpack(">I", data[at : at + 4])
        end = at + 4 + (word & ~(1 << 31))
        found.append(data[at:end])
        at = end
    return head, found


@settings(quick, max_examples=30)
@given(st.data())
def test_chunks_that_were_moved_left_out_or_repeated_are_an_error(data: st.DataObject) -> None:
    head, found = frames(LONG)
    order = data.draw(st.lists(st.integers(0, len(found) - 1), max_size=len(found) + 1))
    if order == list(range(len(found))):
        return
    with pytest.raises(IntegrityError):
        opened(head + b"".join(found[n] for n in order))


def test_a_chunk_of_another_backup_is_an_error() -> None:
    other = io.BytesIO()
    header = new_header(HEADER.made_at, "1.0", "0016", scrypt_cost=2**10)
    writer = SealedWriter(other, PASSPHRASE, header)
    writer.write(LONG_PLAIN)
    writer.finish()
    head, found = frames(LONG)
    _, foreign = frames(other.getvalue())
    with pytest.raises(IntegrityError):
        opened(head + b"".join([foreign[0], *found[1:]]))


def test_a_file_cannot_ask_for_any_amount_of_work() -> None:
    """The header is read before the passphrase is known to fit."""
    dear = HEADER.model_copy(update={"scrypt_cost": 2**40}).model_dump_json().encode()
    with pytest.raises(IntegrityError):
        opened(b"TRKBAK01" + struct.pack(">I", len(dear)) + dear + bytes(16))


def test_two_backups_of_the_same_are_not_alike() -> None:
    salts = {new_header(HEADER.made_at, "1.0", "0016").salt for _ in range(3)}
    assert len({base64.b64decode(salt) for salt in salts}) == 3


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(InvalidInput):
        check_passphrase("short")
    with pytest.raises(InvalidInput):
        SealedWriter(io.BytesIO(), "short", HEADER)
