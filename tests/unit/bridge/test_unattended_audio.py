"""A connection of Asterisk's is never silent and never forgotten: Asterisk locks the channel meanwhile."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from runtime.sip.audiosocket import AUDIO_16K, HANGUP, IDENTITY, AudioSocketServer, encode
from runtime.sip.sounds import SILENCE


async def frames(reader: asyncio.StreamReader, count: int) -> list[int]:
    """The kinds of so many frames."""
    kinds: list[int] = []
    async with asyncio.timeout(30):
        for _ in range(count):
            head = await reader.readexactly(3)
            await reader.readexactly(int.from_bytes(head[1:], "big"))
            kinds.append(head[0])
    return kinds


async def test_a_connection_gets_audio_before_it_has_an_owner() -> None:
    server = AudioSocketServer()
    await server.start("127.0.0.1", 0)
    try:
        identity = uuid4()
        with server.expecting(identity) as arriving:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(encode(IDENTITY, identity.bytes))
            connection = await arriving
            assert await frames(reader, 5) == [AUDIO_16K] * 5
        closed = asyncio.Event()
        connection.attach(lambda _pcm: None, closed.set)
        connection.close()
        async with asyncio.timeout(30):
            rest = await reader.read()
            await closed.wait()
        assert rest.replace(encode(AUDIO_16K, SILENCE), b"") == encode(HANGUP)
        writer.close()
    finally:
        await server.stop()


async def test_a_connection_whose_call_is_over_is_closed() -> None:
    server = AudioSocketServer()
    await server.start("127.0.0.1", 0)
    try:
        identity = uuid4()
        arrived = asyncio.Event()

        async def make_media() -> None:
            with server.expecting(identity) as arriving:
                await arriving
                arrived.set()
                await asyncio.Event().wait()  # as the channel's StasisStart, which never comes

        making = asyncio.create_task(make_media())
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(IDENTITY, identity.bytes))
        async with asyncio.timeout(30):
            await arrived.wait()
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            rest = await reader.read()
        assert rest.replace(encode(AUDIO_16K, SILENCE), b"") == encode(HANGUP)
        writer.close()
    finally:
        await server.stop()
