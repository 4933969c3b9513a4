"""Whether the console lives, and whether it can work."""

from __future__ import annotations

from litestar import Response, get
from sqlalchemy import text

from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Unavailable
from console.web.wiring import Wiring


@get("/health/live", public=True, sync_to_thread=False)
def live() -> dict[str, object]:
    return {"ready": True, "parts": {}}


@get("/health/ready", public=True)
async def ready(wiring: Wiring) -> Response[dict[str, object]]:
    """Keycloak away does not count: who is signed in goes on, and the sign-in says so itself."""
    try:
        async with UnitOfWork(wiring.app, None) as uow:
            await uow.session.execute(text("SELECT 1"))
        good = True
    except Unavailable:
        good = False
    return Response({"ready": good, "parts": {"database": good}}, status_code=200 if good else 503)
