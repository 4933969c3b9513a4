"""What a support bundle tells of the box: versions, database (no rows), machine, the end of each log.

Each function raises when its part is away; whoever collects writes down why.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from appliance.clients.engine_facts import language_facts
from appliance.database.engine import create_engine
from appliance.database.migrate import newest
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Unavailable
from appliance.settings import Settings

LOG_BYTES = 512 * 1024
"""Of the end of each log, the one before the last rotation included."""
MOST_LOGS = 32
ASK_SECONDS = 3.0

_TABLES = """
    SELECT schemaname || '.' || relname AS name, n_live_tup AS rows,
           pg_total_relation_size(relid) AS bytes
    FROM pg_stat_user_tables ORDER BY 1
"""


def own_versions(settings: Settings | None) -> dict[str, Any]:
    """Of Trunkline, Python and every Python package of this environment."""
    packages = {each.name: each.version for each in distributions() if each.name}
    return {
        "trunkline": version("trunkline"),
        "profile": None if settings is None else settings.profile,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "python_packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def installed_versions(settings: Settings) -> dict[str, str]:
    """Of the servers that the set-up installed, as it wrote them down. Raises Unavailable."""
    file = settings.telemetry.versions_file
    if file is None:
        raise Unavailable("The settings name no file with the versions of the installed servers.")
    return dict(json.loads(file.read_text(encoding="utf-8")))


async def gateway_version(settings: Settings) -> str:
    """As the running Asterisk tells it."""
    gateway = settings.gateway
    async with httpx.AsyncClient(timeout=ASK_SECONDS, trust_env=False) as http:
        answer = await http.get(
            f"{gateway.ari_url}/ari/asterisk/info", auth=(gateway.ari_user, gateway.ari_password.reveal())
        )
        answer.raise_for_status()
    return str(answer.json()["system"]["version"])


async def redis_version(settings: Settings) -> str:
    """As the running Redis tells it."""
    redis = settings.redis
    async with asyncio.timeout(ASK_SECONDS):
        reader, writer = await asyncio.open_connection(redis.host, redis.port)
        try:
            word = redis.password.reveal()
            writer.write(f"*2\r\n$4\r\nAUTH\r\n${len(word.encode())}\r\n{word}\r\nINFO server\r\n".encode())
            await writer.drain()
            while line := await reader.readline():
                if line.startswith(b"redis_version:"):
                    return line.split(b":", 1)[1].decode().strip()
                if line.startswith(b"-"):
                    break
        finally:
            writer.close()
    raise Unavailable("Redis does not tell its version.")


async def language_version(settings: Settings) -> dict[str, Any]:
    """As the language engine tells it; the scripted one of the lite profile does not."""
    base_url = settings.language.base_url
    return await asyncio.to_thread(language_facts, base_url, timeout_seconds=ASK_SECONDS)


async def database(settings: Settings) -> dict[str, Any]:
    """Server, revision and tables. The rows are PostgreSQL's own estimate: no role of the box may count over
    all organizations. Raises Unavailable."""
    engine = create_engine(settings.database, "app")
    try:
        async with UnitOfWork(engine, None) as uow:
            server = await uow.session.scalar(text("SHOW server_version"))
            size = await uow.session.scalar(text("SELECT pg_database_size(current_database())"))
            connections = await uow.session.scalar(text("SELECT count(*) FROM pg_stat_activity"))
            tables = (await uow.session.execute(text(_TABLES))).all()
            try:
                revision = await uow.session.scalar(text("SELECT version_num FROM alembic_version"))
            except SQLAlchemyError:  # the schema was never made
                revision = None
    finally:
        await engine.dispose()
    return {
        "server": str(server),
        "revision": revision,
        "newest_revision_of_this_release": newest(settings),
        "bytes": size,
        "connections": connections,
        "rows_are": "estimates of the server's statistics",
        "tables": {row.name: {"rows": row.rows, "bytes": row.bytes} for row in tables},
    }


def machine(settings: Settings | None) -> dict[str, Any]:
    """Disk, memory and load, in bytes and seconds."""
    places = {"system": Path("/")}
    if settings is not None:
        places["spool"] = settings.spool_dir
        if settings.telemetry.log_dir is not None:
            places["logs"] = settings.telemetry.log_dir
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "at": datetime.now(UTC).isoformat(),
        "up_seconds": round(time.time() - psutil.boot_time()),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "memory": {"total": memory.total, "available": memory.available, "percent": memory.percent},
        "swap": {"total": swap.total, "used": swap.used},
        "disk": {name: _disk(place) for name, place in places.items()},
    }


def _disk(place: Path) -> dict[str, Any]:
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        return {"problem": error.strerror or type(error).__name__}
    return {"total": usage.total, "free": usage.free}


def logs_of(folder: Path) -> list[Path]:
    """The log of each part, without those that were rotated away. Raises OSError."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(".log") and path.is_file())


def ending(log: Path, limit: int = LOG_BYTES) -> tuple[str, bool]:
    """The last whole lines of a log and of the one before it, and whether there was more."""
    pieces: list[bytes] = []
    left, more = limit, False
    for file in (log, log.with_name(f"{log.name}.1")):
        if left <= 0 or (file != log and not file.is_file()):
            more = more or file.is_file()
            continue
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - left))
            piece = opened.read(left)
        if size > len(piece):
            more = True
            piece = piece.partition(b"\n")[2]  # half a line could hide a secret from who looks for it
        pieces.insert(0, piece)
        left -= size
    return b"".join(pieces).decode("utf-8", "replace"), more
