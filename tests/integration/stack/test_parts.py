"""The servers of the box under their supervisor."""

from __future__ import annotations

import asyncio

import psutil
import psycopg
import pytest
from livekit import api, rtc

from provisioning.lite.box import Box
from provisioning.lite.servers import livekit_configuration


def test_postgres_has_the_roles_that_own_nothing(box: Box) -> None:
    box.start("postgres")
    with psycopg.connect(
        box.settings.database.url("app", driver="postgresql"), connect_timeout=10
    ) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles"
            " WHERE rolname LIKE 'trunkline%'"
        ).fetchall()
        owned = connection.execute(
            "SELECT count(*) FROM pg_class"
            " WHERE relowner::regrole::text IN ('trunkline_app', 'trunkline_router')"
        ).fetchone()
    assert sorted(rows) == [
        ("trunkline_app", False, False, False),
        ("trunkline_owner", False, False, False),
        ("trunkline_router", False, False, False),
    ]
    assert owned == (0,)


def test_every_part_of_the_call_path_serves(box: Box) -> None:
    """What people look at (the console, its sign-in) is started by name."""
    took = box.start()
    assert list(took) == list(box.call_path)
    parts = box.status()
    assert [name for name in box.call_path if not parts[name]["ready"]] == []


def test_media_keeps_its_priority(box: Box) -> None:
    """A media process that is stalled delays its calls until they end."""
    box.start("livekit", "minio")
    media = psutil.Process(box.pids("livekit")[0]).nice()
    rest = psutil.Process(box.pids("minio")[0]).nice()
    assert media < rest or rest == 19  # nobody is nicer than 19


async def test_nobody_makes_a_room_by_joining_it(box: Box) -> None:
    """Nothing is admitted but by the bridge, and who comes late does not bring an ended room back."""
    box.start("livekit")
    rooms = box.settings.rooms
    token = (
        api.AccessToken(rooms.api_key, rooms.api_secret.reveal())
        .with_identity("early")
        .with_grants(api.VideoGrants(room_join=True, room="call-stack-nobody"))
        .to_jwt()
    )
    room = rtc.Room()
    with pytest.raises(rtc.ConnectError):
        await asyncio.wait_for(room.connect(rooms.url, token), timeout=30)
    async with api.LiveKitAPI(rooms.http_url, rooms.api_key, rooms.api_secret.reveal()) as client:
        found = await client.room.list_rooms(api.ListRoomsRequest(names=["call-stack-nobody"]))
    assert list(found.rooms) == []


def test_no_server_asks_an_address_outside(box: Box) -> None:
    """LiveKit's own default is a public STUN server."""
    configuration = livekit_configuration(box.site)["rtc"]
    assert all(server.startswith("127.0.0.1:") for server in configuration["stun_servers"])
    assert configuration["use_external_ip"] is False
