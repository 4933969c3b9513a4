"""Liveness and readiness; readiness asks PostgreSQL."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from appliance.errors import TrunklineError
from runtime.tool_api.wiring import Wired, Wiring

router = APIRouter(prefix="/health")
_LIMIT_SECONDS = 2.0


@router.get("/live")
async def live() -> JSONResponse:
    return JSONResponse({"ready": True, "parts": {}})


@router.get("/ready")
async def ready(wiring: Wired) -> JSONResponse:
    database = await _database_answers(wiring)
    return JSONResponse(
        {"ready": database, "parts": {"postgres": database}}, status_code=200 if database else 503
    )


async def _database_answers(wiring: Wiring) -> bool:
    """Migrated as well as reachable: an empty database cannot take calls."""
    try:
        async with asyncio.timeout(_LIMIT_SECONDS), wiring.work_of_router() as uow:
            return bool(await uow.session.scalar(text("SELECT count(*) FROM box")))
    except (TrunklineError, TimeoutError, SQLAlchemyError):
        return False
