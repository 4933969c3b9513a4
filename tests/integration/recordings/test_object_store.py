"""What the client does when nobody waits for it any more: a fault that a real store does not produce."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from appliance.clients.object_store import ObjectStore
from appliance.settings import ObjectStoreSettings, SecretFile

PART_BYTES = 5 * 1024 * 1024
STARTED = (
    '<?xml version="1.0" encoding="UTF-8"?><InitiateMultipartUploadResult '
    'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>recordings</Bucket><Key>name</Key>'
    "<UploadId>upload</UploadId></InitiateMultipartUploadResult>"
)


async def test_a_cancelled_upload_stops_at_its_next_part_and_takes_the_others_back(tmp_path: Path) -> None:
    parts: list[str] = []
    first_part_is_there, go_on, taken_back = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def store(request: web.Request) -> web.Response:
        await request.read()
        if request.method == "POST":
            return web.Response(text=STARTED, content_type="application/xml")
        if request.method == "DELETE":
            taken_back.set()
            return web.Response(status=204)
        parts.append(request.query["partNumber"])
        first_part_is_there.set()
        await go_on.wait()
        return web.Response(headers={"ETag": '"part"'})

    app = web.Application(client_max_size=2 * PART_BYTES)
    app.router.add_route("*", "/{path:.*}", store)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    host, port = runner.addresses[0][:2]
    client = ObjectStore(
        ObjectStoreSettings(
            endpoint=f"{host}:{port}", secret_key=SecretFile(file=secret), part_size_bytes=PART_BYTES
        )
    )
    content = tmp_path / "content"
    content.write_bytes(bytes(PART_BYTES * 3))
    try:
        upload = asyncio.create_task(client.upload("recordings", "name", content))
        async with asyncio.timeout(60):
            await first_part_is_there.wait()
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
            go_on.set()
            await taken_back.wait()
        assert len(parts) == 1
    finally:
        go_on.set()
        await client.close()
        await runner.cleanup()
