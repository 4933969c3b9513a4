"""Security headers on every answer, and one host name for all of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from appliance.settings import Settings

_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(self), payment=()",
    "Cache-Control": "no-store",
}
_HSTS = "max-age=31536000"


def content_security_policy(settings: Settings, *, connect: str = "") -> str:
    """No inline script or style, nothing from elsewhere; the room server for the test call in the browser."""
    room = urlsplit(settings.rooms.url)
    rooms = f"{room.scheme}://{room.netloc} {settings.rooms.http_url}"
    identity = settings.identity.url
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "media-src 'self' blob:",
            "worker-src 'self'",
            "manifest-src 'self'",
            f"connect-src 'self' {rooms} {connect}".rstrip(),
            f"form-action 'self' {identity}",  # signing out goes on to Keycloak
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


class SecurityHeaders(ASGIMiddleware):
    """A header that a handler has set itself is left as it is."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, settings: Settings) -> None:
        self._headers = {**_FIXED, "Content-Security-Policy": content_security_policy(settings)}
        if settings.console.secure:
            self._headers["Strict-Transport-Security"] = _HSTS

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in self._headers.items():
                    if name not in headers:
                        headers[name] = value
            await send(message)

        await next_app(scope, receive, send_with_headers)
