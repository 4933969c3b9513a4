"""HTTP digest as SIP uses it (RFC 3261 section 22, RFC 8760): answers a 401 or 407."""

from __future__ import annotations

import hashlib
import re
import secrets

from appliance.errors import InvalidInput, NotAllowed
from provisioning.caller.sip_message import Request, Response

CHALLENGES = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
"""Status to the header that asks and the header that answers."""
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def parse_challenge(value: str) -> dict[str, str]:
    """The parameters of one `WWW-Authenticate` or `Proxy-Authenticate` value; else InvalidInput."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise InvalidInput("The server asks for a kind of authentication that is not digest.")
    found = {
        match[1].lower(): match[2] if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(rest)
    }
    if "realm" not in found or "nonce" not in found:
        raise InvalidInput("The digest challenge has no realm or no nonce.")
    return found


def authorization(challenge: str, *, method: str, uri: str, user: str, password: str, count: int = 1) -> str:
    """The value of `Authorization` that answers the challenge for this request.

    NotAllowed when the server wants an algorithm or quality of protection that we do not speak.
    """
    asked = parse_challenge(challenge)
    algorithm = asked.get("algorithm", "MD5").upper()
    if algorithm not in _HASHES:
        raise NotAllowed(f"The server wants the digest algorithm {algorithm[:20]}.")
    offered = [item.strip() for item in asked.get("qop", "").split(",") if item.strip()]
    if offered and "auth" not in offered:
        raise NotAllowed("The server wants a quality of protection other than auth.")

    def digest(text: str) -> str:
        return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

    secret = digest(f"{user}:{asked['realm']}:{password}")
    request = digest(f"{method}:{uri}")
    fields = {"username": user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    plain = {"algorithm": algorithm}
    if offered:
        cnonce, nc = secrets.token_hex(8), f"{count:08x}"
        fields["response"] = digest(f"{secret}:{asked['nonce']}:{nc}:{cnonce}:auth:{request}")
        fields["cnonce"] = cnonce
        plain |= {"qop": "auth", "nc": nc}
    else:
        fields["response"] = digest(f"{secret}:{asked['nonce']}:{request}")
    if "opaque" in asked:
        fields["opaque"] = asked["opaque"]
    parts = [f'{name}="{value}"' for name, value in fields.items()]
    parts += [f"{name}={value}" for name, value in plain.items()]
    return "Digest " + ", ".join(parts)


def answer_challenge(request: Request, response: Response, auth: tuple[str, str]) -> None:
    """Puts the answer to a 401 or 407 into the request, which is then sent anew (branch and CSeq are new)."""
    asking, answering = CHALLENGES[response.status]
    value = authorization(
        response.headers.get(asking), method=request.method, uri=request.uri, user=auth[0], password=auth[1]
    )
    request.headers.set(answering, value)
