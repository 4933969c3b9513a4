"""`/api/v1`, put together, and its description."""

from __future__ import annotations

from typing import Any

from litestar import Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from appliance.errors import Conflict
from console.api import (
    agents,
    bookings,
    box,
    calls,
    events,
    functions,
    members,
    organization,
    overview,
    telephony,
    test_calls,
    webhooks,
    widgets,
)
from console.api.calls import call_filter
from console.api.events import provide_call_events
from console.api.frame import Repetition, RequestCount, actor_of_key, on_conflict
from console.api.members import provide_identity_admin
from console.calls.sound import provide_playback
from console.web.identity import read_api_keys_by

read_api_keys_by(actor_of_key)

_FEATURES = {
    "Calls": (calls, events, overview),
    "Agents": (agents, test_calls),
    "Telephony": (telephony,),
    "Functions": (functions,),
    "Bookings": (bookings,),
    "Organization": (organization, members),
    "Webhooks": (webhooks,),
    "Widgets": (widgets,),
    "Box": (box,),
}
_ABOUT = """\
Everything that the console can do, for programs.

- Authorization: `Bearer tl_...` (an API key) or a token of the sign-in with audience `api`.
- Lists answer `{items, next_cursor}`; ask again with `cursor` until `next_cursor` is null.
- Single things carry an `ETag`; changes name it by `If-Match` (412 when it was changed, 428 without).
- A POST with an `Idempotency-Key` is carried out once; within 24 hours it gives the first answer again.
- `RateLimit-*` headers tell what is left of this minute.
- Errors are problem documents (RFC 9457) with a stable `code`.
"""


def _routers() -> list[Any]:
    return [
        Router("/", route_handlers=[handler for module in modules for handler in module.HANDLERS], tags=[tag])
        for tag, modules in _FEATURES.items()
    ]


ROUTES = [
    Router(
        "/api/v1",
        route_handlers=_routers(),
        include_in_schema=True,
        middleware=[RequestCount(), Repetition()],
        exception_handlers={Conflict: on_conflict},
        dependencies={
            "wanted": Provide(call_filter),
            "playback": Provide(provide_playback, sync_to_thread=False),
            "identity": Provide(provide_identity_admin),
            "call_events": Provide(provide_call_events),
        },
        security=[{"key": []}],
    )
]

OPENAPI = OpenAPIConfig(
    title="Trunkline",
    version="1",
    description=_ABOUT,
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    tags=[Tag(name=tag) for tag in _FEATURES],
    components=Components(
        security_schemes={
            "key": SecurityScheme(
                type="http", scheme="bearer", description="An API key, or a token with audience `api`"
            )
        }
    ),
    openapi_router=Router("/api/v1", route_handlers=[], opt={"public": True}),
    render_plugins=[],
    create_examples=False,
    use_handler_docstrings=True,
)
