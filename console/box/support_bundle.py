"""A support bundle on its way to a browser or a program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from litestar.response import Stream

from appliance.box.support_bundle import MEDIA_TYPE, Made

_PIECE_BYTES = 64 * 1024


def bundle_stream(made: Made) -> Stream:
    """Sends the file, which is gone afterwards."""

    async def pieces() -> AsyncGenerator[bytes]:
        with made.file as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece

    headers = {
        "Content-Disposition": f'attachment; filename="{made.name}"',
        "Content-Length": str(made.size),
        "Cache-Control": "no-store",
    }
    return Stream(pieces(), media_type=MEDIA_TYPE, headers=headers)
