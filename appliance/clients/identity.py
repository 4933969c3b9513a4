"""The identity provider: OpenID Connect's code flow with PKCE, and tokens that are believed or not.

Sources: OpenID Connect Core 1.0 (section 3.1), RP-Initiated Logout 1.0, Back-Channel Logout 1.0
(section 2.6), RFC 7636 (PKCE), RFC 8725 (JWT best current practices).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from appliance.errors import NotAllowed, Unavailable
from appliance.settings import IdentitySettings

ALGORITHMS = ["RS256", "PS256", "ES256"]
"""Signatures by keys of the provider alone: neither `none` nor a shared secret."""
LEEWAY_SECONDS = 10
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_KEYS_AGAIN_AFTER_SECONDS = 15.0
_LOGOUT_TOKEN_SECONDS = 300


@dataclass(frozen=True)
class Attempt:
    """A sign-in under way, kept by the browser in a sealed cookie."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> Attempt:
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


@dataclass(frozen=True)
class SignedIn:
    """The claims of a believed ID token, and the token itself (for the logout)."""

    claims: dict[str, Any]
    id_token: str


class IdentityProvider:
    """One realm. Raises Unavailable when it does not answer; NotAllowed for what does not hold."""

    def __init__(self, settings: IdentitySettings, *, console_url: str) -> None:
        self._settings = settings
        self.redirect_uri = f"{console_url}/sign-in/callback"
        self.signed_out_uri = f"{console_url}/signed-out"
        self._http = httpx.AsyncClient(timeout=settings.timeout_seconds, trust_env=False)
        self._keys: KeySet | None = None
        self._keys_at = 0.0
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    async def answers(self) -> bool:
        """Whether the provider is there now."""
        try:
            answer = await self._http.get(self._inside("certs"))
        except httpx.HTTPError:
            return False
        return answer.is_success

    async def sign_in_url(self, attempt: Attempt, *, again: bool = False) -> str:
        """Where the browser goes. `again`: a password is wanted although a session is there.

        Raises Unavailable when the provider does not answer: a page of ours says so, not the browser's.
        """
        if not await self.answers():
            raise Unavailable("The sign-in service does not answer.", remedy="Try again in a minute.")
        client = self._client()
        more: dict[str, str] = {"max_age": "0", "prompt": "login"} if again else {}
        url, _ = client.create_authorization_url(
            self._outside("auth"),
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
            **more,
        )
        return str(url)

    async def finish(self, attempt: Attempt, code: str) -> SignedIn:
        """Exchanges the code and reads the ID token."""
        async with self._client() as client:
            try:
                tokens: dict[str, Any] = await client.fetch_token(
                    self._inside("token"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                )
            except httpx.HTTPError as error:
                raise Unavailable(
                    "The sign-in service does not answer.", remedy="Try again in a minute."
                ) from error
            except AuthlibBaseError as error:
                raise _refused("the code was not accepted") from error
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise _refused("there was no identity in the answer")
        claims = await self._read(token, audience=self._settings.client_id)
        if not secrets.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
            raise _refused("the answer belongs to another attempt")
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise _refused("the answer was made for another program")
        return SignedIn(claims, token)

    async def read_access_token(self, token: str) -> dict[str, Any] | None:
        """The claims of a bearer token for the API; None for one that does not hold."""
        try:
            claims = await self._read(token, audience=self._settings.api_audience)
        except NotAllowed:
            return None
        return claims if claims.get("typ") == "Bearer" else None

    async def read_logout_token(self, token: str) -> dict[str, Any]:
        """The claims of a logout token; `sid` or `sub` says whose sessions end."""
        claims = await self._read(token, audience=self._settings.client_id)
        events = claims.get("events")
        recent = abs(time.time() - float(claims.get("iat", 0))) <= _LOGOUT_TOKEN_SECONDS
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in claims or not recent:
            raise _refused("this is not a logout token")
        if not claims.get("jti") or not (claims.get("sid") or claims.get("sub")):
            raise _refused("the logout token names nobody")
        return claims

    def sign_out_url(self, id_token: str | None) -> str:
        """Where the browser goes to end the provider's session, too; it comes back to `/signed-out`."""
        query = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": self.signed_out_uri,
            **({"id_token_hint": id_token} if id_token else {}),
        }
        return f"{self._outside('logout')}?{urlencode(query)}"

    def _client(self) -> Any:
        return AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret.reveal(),
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106
            scope="openid profile email",
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=self._settings.timeout_seconds,
            trust_env=False,
        )

    def _outside(self, endpoint: str) -> str:
        return f"{self._settings.issuer}/protocol/openid-connect/{endpoint}"

    def _inside(self, endpoint: str) -> str:
        return f"{self._settings.reached_at}/protocol/openid-connect/{endpoint}"

    async def _read(self, token: str, *, audience: str) -> dict[str, Any]:
        """The claims, when signature, issuer, audience and time hold."""
        decoded = await self._decode(token)
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            registry.validate(decoded.claims)
        except JoseError as error:
            raise _refused(error.description or "a claim does not fit") from error
        if not (decoded.claims.get("sub") or decoded.claims.get("sid")):
            raise _refused("it names nobody")
        return dict(decoded.claims)

    async def _decode(self, token: str) -> jwt.Token:
        keys = await self._signing_keys(fresh=False)
        try:
            return jwt.decode(token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError):
            # Perhaps the realm's keys were rotated; asked anew at most every few seconds.
            keys = await self._signing_keys(fresh=True)
        try:
            return jwt.decode(token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError) as error:
            raise _refused("its signature does not hold") from error

    async def _signing_keys(self, *, fresh: bool) -> KeySet:
        """The realm's keys, kept; with the provider away the ones that are known go on counting."""
        async with self._fetching:
            age = time.monotonic() - self._keys_at
            if self._keys is not None and (not fresh or age < _KEYS_AGAIN_AFTER_SECONDS):
                return self._keys
            try:
                answer = await self._http.get(self._inside("certs"))
                answer.raise_for_status()
                document = answer.json()
            except (httpx.HTTPError, ValueError) as error:
                if self._keys is not None:
                    return self._keys
                raise Unavailable(
                    "The sign-in service does not answer.", remedy="Try again in a minute."
                ) from error
            signing = [key for key in document["keys"] if key.get("use", "sig") == "sig"]
            self._keys = KeySet.import_key_set({"keys": signing})
            self._keys_at = time.monotonic()
            return self._keys


def _refused(reason: str) -> NotAllowed:
    return NotAllowed(f"The sign-in does not hold: {reason}.", remedy="Sign in again.", code="token_refused")
