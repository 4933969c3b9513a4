"""Call tokens: a worker may do what belongs to its own call, while a call can last, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import jwt

from appliance.errors import NotAllowed

AUDIENCE = "trunkline-call"
LIFETIME = timedelta(hours=4)
_ALGORITHM = "HS256"
_REQUIRED = ["sub", "org", "aud", "iat", "exp", "jti"]


@dataclass(frozen=True)
class CallIdentity:
    """What a call token proves."""

    call_id: UUID
    organization_id: UUID
    attempt: int


class CallTokens:
    """Makes and checks call tokens (RFC 7519, HS256) with a key that the tool API alone knows."""

    def __init__(self, key: str) -> None:
        self._key = key

    def mint(self, call_id: UUID, organization_id: UUID, attempt: int, now: datetime) -> str:
        claims = {
            "sub": str(call_id),
            "org": str(organization_id),
            "attempt": attempt,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def verify(self, token: str) -> CallIdentity:
        """NotAllowed when the token is not ours, not for this use, or no longer good."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                options={"require": _REQUIRED},
                leeway=5,
            )
            identity = CallIdentity(UUID(claims["sub"]), UUID(claims["org"]), int(claims.get("attempt", 1)))
        except jwt.ExpiredSignatureError as error:
            raise NotAllowed("The call token has expired.", code="token_expired") from error
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise NotAllowed("The call token does not hold.", code="token_invalid") from error
        if identity.attempt < 1:
            raise NotAllowed("The call token does not hold.", code="token_invalid")
        return identity
