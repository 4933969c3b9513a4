"""The container opens whole and unchanged, or not at all."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import IntegrityError
from appliance.recordings.container import CHUNK_BYTES, MAGIC, ChunkCipher, Header
from appliance.security.sealing import new_key
from tests.unit.recordings.sample import frames, header, opened

KEY = bytes(range(32))
HEADER = header()
chunks = st.lists(st.binary(min_size=1, max_size=64), max_size=6)


@given(chunks)
def test_what_went_in_comes_out(content: list[bytes]) -> None:
    assert opened(b"".join(frames(KEY, HEADER, content)), KEY) == b"".join(content)


@given(chunks, st.data())
def test_any_flipped_bit_is_found(content: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(frames(KEY, HEADER, content)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError):
        opened(bytes(whole), KEY)


@given(chunks, st.data())
def test_any_truncation_is_found(content: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(frames(KEY, HEADER, content))
    with pytest.raises(IntegrityError):
        opened(whole[: data.draw(st.integers(0, len(whole) - 1))], KEY)


@given(st.lists(st.binary(min_size=1, max_size=64), min_size=2, max_size=6, unique=True), st.data())
def test_any_other_order_is_found(content: list[bytes], data: st.DataObject) -> None:
    first, *rest = frames(KEY, HEADER, content)
    shuffled = data.draw(st.permutations(rest).filter(lambda order: list(order) != rest))
    with pytest.raises(IntegrityError):
        opened(first + b"".join(shuffled), KEY)


@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=6), st.data())
def test_a_frame_left_out_or_repeated_is_found(content: list[bytes], data: st.DataObject) -> None:
    whole = frames(KEY, HEADER, content)
    at = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(IntegrityError):
        opened(b"".join(whole[:at] + whole[at + 1 :]), KEY)
    with pytest.raises(IntegrityError):
        opened(b"".join(whole[: at + 1] + whole[at:]), KEY)


def test_a_chunk_of_another_recording_is_found_even_under_the_same_key() -> None:
    other = header()
    mine, theirs = frames(KEY, HEADER, [b"ab", b"cd"]), frames(KEY, other, [b"ef", b"gh"])
    with pytest.raises(IntegrityError):
        opened(b"".join([mine[0], theirs[1], *mine[2:]]), KEY)
    with pytest.raises(IntegrityError):
        opened(b"".join([theirs[0], *mine[1:]]), KEY)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(IntegrityError) as caught:
        opened(b"".join(frames(KEY, HEADER, [b"ab"])), new_key())
    assert caught.value.code == "altered"


def test_bytes_behind_the_end_are_found() -> None:
    with pytest.raises(IntegrityError):
        opened(b"".join(frames(KEY, HEADER, [b"ab"])) + b"\x00", KEY)


def test_a_final_frame_with_content_is_not_accepted() -> None:
    """Even from one who has the key: the final chunk is empty by definition, so that nonces stay unique."""
    start = HEADER.encode()
    cipher = ChunkCipher(KEY, HEADER, start)
    forged = cipher._frames.seal(0, b"abcd", final=True)
    with pytest.raises(IntegrityError):
        opened(start + forged, KEY)


def test_sealing_the_end_twice_gives_the_same_bytes() -> None:
    start = HEADER.encode()
    assert ChunkCipher(KEY, HEADER, start).seal_final(3) == ChunkCipher(KEY, HEADER, start).seal_final(3)


@pytest.mark.parametrize("size", [0, CHUNK_BYTES + 1])
def test_a_chunk_of_a_wrong_size_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="one second"):
        ChunkCipher(KEY, HEADER, HEADER.encode()).seal(0, bytes(size))


@given(st.binary(max_size=200))
def test_what_is_no_recording_is_told(content: bytes) -> None:
    for start in (content, MAGIC + content):
        with pytest.raises(IntegrityError):
            Header.read(BytesIO(start))


def test_the_header_tells_nothing_secret_and_comes_back() -> None:
    encoded = HEADER.encode()
    found, again = Header.read(BytesIO(encoded))
    assert found == HEADER
    assert again == encoded
    assert KEY not in encoded
