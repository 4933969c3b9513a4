"""Identifiers: UUID version 7 (RFC 9562, section 5.7), so that new rows lie together in an index."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


def uuid7(*, unix_ms: int | None = None) -> UUID:
    """A new identifier: 48 bits of milliseconds since 1970, then 74 random bits."""
    if unix_ms is None:
        unix_ms = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return UUID(
        int=(unix_ms & (1 << 48) - 1) << 80
        | _VERSION
        | random >> 62 << 64
        | _VARIANT
        | random & (1 << 62) - 1
    )
