"""The two tokens of a visitor, both without a cookie (RFC 7519, HS256, a key that the console alone knows).

The visitor's token says that it is the same browser as before, and nothing about who it is; the session's
token lets that browser tell of its own session, and of no other.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID, uuid4

import jwt

from appliance.errors import NotAllowed

VISITOR_LIFETIME = timedelta(days=30)
SESSION_SLACK = timedelta(minutes=5)
_ALGORITHM = "HS256"
_VISITOR = "trunkline-visitor"
_SESSION = "trunkline-widget-session"
_REQUIRED = ["sub", "wid", "aud", "iat", "exp"]
_IPV6_NETWORK_BITS = 64


@dataclass(frozen=True)
class SessionIdentity:
    call_id: UUID
    public_id: str


class VisitorTokens:
    """Args:
    secret: any secret of the console; the key is derived from it.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"trunkline widgets\x00" + secret.encode()).digest()

    def visitor(self, public_id: str, shown: str | None, now: datetime) -> tuple[str, str]:
        """The visitor's digest and a fresh token of the same; a new visitor when `shown` does not hold."""
        known = self._read(shown, _VISITOR) if shown else None
        name = known["sub"] if known is not None and known["wid"] == public_id else uuid4().hex
        return self._digest(b"visitor", name), self._mint(_VISITOR, name, public_id, now, VISITOR_LIFETIME)

    def address(self, address: str | None) -> str:
        """The digest of a network address; of IPv6 the network, which one household has to itself."""
        plain = address or ""
        try:
            parsed = ip_address(plain)
        except ValueError:
            return self._digest(b"address", plain)
        if isinstance(parsed, IPv6Address):
            plain = str(int(parsed) >> (128 - _IPV6_NETWORK_BITS))
        return self._digest(b"address", plain)

    def session(self, call_id: UUID, public_id: str, seconds: int, now: datetime) -> str:
        return self._mint(_SESSION, str(call_id), public_id, now, timedelta(seconds=seconds) + SESSION_SLACK)

    def read_session(self, token: str) -> SessionIdentity:
        """NotAllowed when the token is not ours, not for this use, or no longer good."""
        claims = self._read(token, _SESSION)
        if claims is None:
            raise NotAllowed("The session's token does not hold.", code="token_invalid")
        return SessionIdentity(UUID(claims["sub"]), claims["wid"])

    def _mint(self, audience: str, subject: str, public_id: str, now: datetime, lifetime: timedelta) -> str:
        claims = {"sub": subject, "wid": public_id, "aud": audience, "iat": now, "exp": now + lifetime}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def _read(self, token: str, audience: str) -> dict[str, Any] | None:
        try:
            return jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], audience=audience, options={"require": _REQUIRED}
            )
        except (jwt.PyJWTError, ValueError):
            return None

    def _digest(self, kind: bytes, plain: str) -> str:
        return hmac.new(self._key, kind + b"\x00" + plain.encode(), "sha256").hexdigest()[:32]
