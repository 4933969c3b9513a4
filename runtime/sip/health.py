"""The bridge's own HTTP on loopback: health, the calls in progress, calls to be placed, trunks to be tested.

`GET /health/live` and `/health/ready` need no token; `GET /calls`, `POST /calls/outbound` and
`POST /trunks/<id>/test` the service token. Errors are problem documents (RFC 9457).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from uuid import UUID

from aiohttp import web
from pydantic import ValidationError

from appliance.calls.domain import AdmissionRefused, OutboundRequest
from appliance.errors import AtCapacity, Conflict, InvalidInput, NotAllowed, NotFound, TrunklineError
from runtime.sip.options import TestDesk
from runtime.sip.parts import Parts
from runtime.sip.service import Bridge

_STATUS: tuple[tuple[type[TrunklineError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotAllowed, 403),
    (Conflict, 409),
    (AtCapacity, 429),
)


def make_app(bridge: Bridge, parts: Parts, tests: TestDesk) -> web.Application:
    """The application; its state is the bridge's."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"ready": True, "parts": {}})

    async def ready(_request: web.Request) -> web.Response:
        states = {"asterisk": parts.ari.connected, "tool_api": bridge.api_ready}
        is_ready = all(states.values())
        return web.json_response({"ready": is_ready, "parts": states}, status=200 if is_ready else 503)

    async def calls(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "calls": [
                    {
                        "call_id": str(call.admission.call_id) if call.admission else None,
                        "phase": call.state.phase.name.lower(),
                        "media": call.actions.media.summary(),
                    }
                    for call in bridge.calls
                ],
                "channels": len(parts.channels.owned),
                "bridges": len(parts.channels.bridges),
                "audiosocket_connections": parts.audiosocket.connections,
                "reports_waiting": parts.ended.waiting,
            }
        )

    async def outbound(request: web.Request) -> web.Response:
        try:
            wanted = OutboundRequest.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInput(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}.") from error
        admission = await bridge.call_out(wanted)
        return web.json_response(
            {"call_id": str(admission.call_id), "room_name": admission.room_name}, status=202
        )

    async def trunk_test(request: web.Request) -> web.Response:
        try:
            trunk_id = UUID(request.match_info["trunk_id"])
        except ValueError:
            raise NotFound("The trunk does not exist.") from None
        result = await tests.test(trunk_id)
        return web.json_response(text=result.model_dump_json())

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if not request.path.startswith("/health/"):
                _check_token(request, parts.settings.tool_api.service_token.reveal())
            return await handler(request)
        except TrunklineError as error:
            return _problem(error)

    app = web.Application(middlewares=[guard], client_max_size=64 * 1024)
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/calls", calls)
    app.router.add_post("/calls/outbound", outbound)
    app.router.add_post("/trunks/{trunk_id}/test", trunk_test)
    return app


def _check_token(request: web.Request, token: str) -> None:
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise NotAllowed("The service token is missing or wrong.")


def _problem(error: TrunklineError) -> web.Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
    extra: dict[str, object] = {}
    if isinstance(error, AdmissionRefused):
        status = error.sip_status if error.sip_status in (403, 404, 503) else 409
        extra = {"sip_status": error.sip_status, "retry_after_seconds": error.retry_after_seconds}
    if isinstance(error, AtCapacity):
        extra = {"retry_after_seconds": error.retry_after_seconds}
    return web.json_response(
        {
            "type": "about:blank",
            "title": type(error).__name__,
            "status": status,
            "detail": str(error),
            "code": error.code,
        }
        | extra,
        status=status,
        content_type="application/problem+json",
    )
