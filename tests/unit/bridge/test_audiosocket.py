"""AudioSocket: the framing for any bytes, and the server for any peer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.sip.audiosocket import (
    AUDIO_16K,
    DTMF,
    FAILURE,
    HANGUP,
    IDENTITY,
    MAX_PAYLOAD_BYTES,
    AudioSocketServer,
    Frame,
    Framer,
    FramingError,
    encode,
)
from runtime.sip.sounds import SILENCE

careful = settings(max_examples=200, deadline=None, derandomize=True)
FRAMES = st.lists(
    st.builds(
        Frame,
        kind=st.sampled_from([HANGUP, IDENTITY, DTMF, AUDIO_16K, FAILURE]),
        payload=st.binary(max_size=700),
    ),
    max_size=12,
)


def bytes_of(frames: list[Frame]) -> bytes:
    return b"".join(encode(frame.kind, frame.payload) for frame in frames)


@careful
@given(FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_cutting(frames: list[Frame], cuts: list[int]) -> None:
    data, framer, found = bytes_of(frames), Framer(), []
    while data:
        size = cuts[len(found) % len(cuts)]
        found += framer.feed(data[:size])
        data = data[size:]
    assert found == frames


@careful
@given(FRAMES, st.integers(1, 600))
def test_a_truncated_frame_is_awaited_not_invented(frames: list[Frame], missing: int) -> None:
    data = bytes_of(frames)
    found = Framer().feed(data[:-missing])
    assert found == frames[: len(found)]
    assert len(bytes_of(found)) <= max(0, len(data) - missing)


@careful
@given(st.binary(max_size=4000))
def test_garbage_is_frames_or_an_error_and_never_grows(data: bytes) -> None:
    framer = Framer()
    try:
        frames = framer.feed(data)
    except FramingError:
        return
    assert all(len(frame.payload) <= MAX_PAYLOAD_BYTES for frame in frames)
    assert len(bytes_of(frames)) <= len(data)


@pytest.mark.parametrize("head", [b"\x10\xff\xff", b"\x77\x00\x01", b"\xfe\x00\x00"])
def test_impossible_heads_are_refused(head: bytes) -> None:
    with pytest.raises(FramingError):
        Framer().feed(head)


def test_an_oversized_payload_is_not_sent() -> None:
    with pytest.raises(FramingError):
        encode(AUDIO_16K, bytes(MAX_PAYLOAD_BYTES + 1))


@pytest.fixture
async def server() -> AsyncIterator[AudioSocketServer]:
    server = AudioSocketServer()
    await server.start("127.0.0.1", 0)
    yield server
    await server.stop()


async def open_to(server: AudioSocketServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the server closed the connection with nothing but silence."""
    try:
        async with asyncio.timeout(20):
            return not (await reader.read()).replace(encode(AUDIO_16K, SILENCE), b"")
    except ConnectionResetError:
        return True


async def test_an_expected_channel_exchanges_audio(server: AudioSocketServer) -> None:
    identity, heard, closed = uuid4(), asyncio.Queue[bytes](), asyncio.Event()
    with server.expecting(identity) as arriving:
        reader, writer = await open_to(server)
        writer.write(encode(IDENTITY, identity.bytes))
        connection = await asyncio.wait_for(arriving, 20)
    connection.attach(heard.put_nowait, closed.set)
    writer.write(encode(AUDIO_16K, b"\1\0" * 320))
    assert await asyncio.wait_for(heard.get(), 20) == b"\1\0" * 320
    connection.send(b"\2\0" * 320)
    while (frame := await reader.readexactly(643)) == encode(AUDIO_16K, SILENCE):
        pass  # until the connection had an owner
    assert frame == encode(AUDIO_16K, b"\2\0" * 320)
    connection.close()
    assert await reader.read() == encode(HANGUP)
    writer.close()
    await asyncio.wait_for(closed.wait(), 20)
    assert server.connections == 0


@pytest.mark.parametrize(
    "first",
    [
        encode(IDENTITY, uuid4().bytes),
        encode(IDENTITY, b"short"),
        encode(AUDIO_16K, bytes(640)),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["unknown", "short", "audio first", "http"],
)
async def test_a_stranger_is_turned_away(server: AudioSocketServer, first: bytes) -> None:
    with server.expecting(uuid4()) as arriving:
        reader, writer = await open_to(server)
        writer.write(first)
        assert await gone(reader)
        writer.close()
        assert not arriving.done()
    assert server.connections == 0


async def test_an_identity_is_good_once(server: AudioSocketServer) -> None:
    identity = uuid4()
    with server.expecting(identity) as arriving:
        _, first = await open_to(server)
        first.write(encode(IDENTITY, identity.bytes))
        await asyncio.wait_for(arriving, 20)
        reader, second = await open_to(server)
        second.write(encode(IDENTITY, identity.bytes))
        assert await gone(reader)
    first.close()
    second.close()


async def test_a_hangup_of_asterisk_is_told_once(server: AudioSocketServer) -> None:
    identity, closings = uuid4(), []
    with server.expecting(identity) as arriving:
        reader, writer = await open_to(server)
        writer.write(encode(IDENTITY, identity.bytes) + encode(HANGUP) + encode(HANGUP))
        connection = await asyncio.wait_for(arriving, 20)
    connection.attach(lambda _: None, lambda: closings.append(1))
    assert await gone(reader)
    writer.close()
    await asyncio.sleep(0)
    assert closings == [1]


async def test_a_peer_that_reads_nothing_costs_frames_not_memory(server: AudioSocketServer) -> None:
    identity = uuid4()
    with server.expecting(identity) as arriving:
        _, writer = await open_to(server)
        writer.write(encode(IDENTITY, identity.bytes))
        connection = await asyncio.wait_for(arriving, 20)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20_000):
        connection.send(bytes(640))
    assert connection.dropped_frames > 0
    writer.transport.abort()


async def test_a_connection_gets_audio_before_it_has_an_owner(server: AudioSocketServer) -> None:
    """Asterisk keeps the channel locked while it waits for a frame (docs/adr/0200)."""
    identity, closed = uuid4(), asyncio.Event()
    async with asyncio.timeout(30):
        with server.expecting(identity) as arriving:
            reader, writer = await open_to(server)
            writer.write(encode(IDENTITY, identity.bytes))
            connection = await arriving
            heard = await reader.readexactly(5 * len(encode(AUDIO_16K, SILENCE)))
        assert [frame.kind for frame in Framer().feed(heard)] == [AUDIO_16K] * 5
        connection.attach(lambda _: None, closed.set)
        connection.close()
        rest = await reader.read()
        await closed.wait()
    assert rest.replace(encode(AUDIO_16K, SILENCE), b"") == encode(HANGUP)
    writer.close()


async def test_a_connection_whose_call_is_over_is_closed(server: AudioSocketServer) -> None:
    identity, arrived = uuid4(), asyncio.Event()

    async def make_media() -> None:
        with server.expecting(identity) as arriving:
            await arriving
            arrived.set()
            await asyncio.Event().wait()  # as the channel's StasisStart, which never comes

    making = asyncio.create_task(make_media())
    await asyncio.sleep(0)
    reader, writer = await open_to(server)
    writer.write(encode(IDENTITY, identity.bytes))
    async with asyncio.timeout(30):
        await arrived.wait()
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        rest = await reader.read()
    assert rest.replace(encode(AUDIO_16K, SILENCE), b"") == encode(HANGUP)
    writer.close()
