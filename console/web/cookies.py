"""The console's cookies: the session's secret, sealed notes of a sign-in under way, notices after a redirect.

With https their names begin with `__Host-`: a browser takes them from this host alone, for the whole host and
over TLS only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from litestar.datastructures import Cookie

from appliance.errors import IntegrityError
from appliance.security.sealing import seal, unseal

SESSION = "session"
SIGN_IN = "sign-in"
NOTICE = "notice"
_SAME_SITE = "lax"


class Cookies:
    def __init__(self, key: str, *, secure: bool) -> None:
        self._seal_key = hashlib.sha256(b"trunkline cookies\x00" + key.encode()).digest()
        self._csrf_key = hashlib.sha256(b"trunkline forms\x00" + key.encode()).digest()
        self._secure = secure

    def name(self, kind: str) -> str:
        return f"{'__Host-' if self._secure else ''}trunkline-{kind}"

    def make(self, kind: str, value: str, *, max_age: int | None = None) -> Cookie:
        return Cookie(
            key=self.name(kind),
            value=value,
            path="/",
            max_age=max_age,
            httponly=True,
            secure=self._secure,
            samesite=_SAME_SITE,
        )

    def drop(self, kind: str) -> Cookie:
        return self.make(kind, "", max_age=0)

    def sealed(self, kind: str, content: dict[str, Any], *, seconds: int) -> Cookie:
        """A cookie that nobody else can read, write or keep beyond its time."""
        return self.make(kind, self.seal_text(kind, content, seconds=seconds), max_age=seconds)

    def seal_text(self, kind: str, content: dict[str, Any], *, seconds: int) -> str:
        """The same for an address: letters that need no quoting. `open` reads it."""
        plain = json.dumps({"until": int(time.time()) + seconds, "content": content}).encode()
        sealed = seal(self._seal_key, plain, kind.encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, kind: str, value: str | None) -> dict[str, Any] | None:
        """What `sealed` put in; None for anything else, and when its time is over."""
        if not value or len(value) > 4096:
            return None
        try:
            raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            kept = json.loads(unseal(self._seal_key, raw, kind.encode()))
        except (IntegrityError, binascii.Error, ValueError):
            return None
        return kept["content"] if kept["until"] >= time.time() else None

    def seal_bytes(self, plain: bytes, belongs_to: bytes) -> bytes:
        return seal(self._seal_key, plain, belongs_to)

    def unseal_bytes(self, sealed: bytes, belongs_to: bytes) -> bytes:
        return unseal(self._seal_key, sealed, belongs_to)

    def form_token(self, session_secret: str) -> str:
        """What a form of this session must carry; of no use in another session."""
        return hmac.new(self._csrf_key, session_secret.encode(), "sha256").hexdigest()

    def is_form_token(self, session_secret: str, shown: str) -> bool:
        return hmac.compare_digest(self.form_token(session_secret).encode(), shown.encode())
