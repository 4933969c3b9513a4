"""The chain of audit entries: how an entry is hashed, and what is wrong with a chain that was touched.

Each entry's hash covers its own content and the hash before it, so that an edit, a gap or a changed order
shows from there on; the head kept beside the chain (number and hash of the newest entry) shows a cut tail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

BOX_CHAIN = UUID(int=0)
"""The chain of the box itself; every other chain has the identifier of its organization."""

GENESIS = "0" * 64
"""What stands before the first entry."""

REMOVED = "[removed]"
_SECRET_WORDS = ("password", "secret", "token", "private_key", "api_key", "authorization", "wrapped_key")


@dataclass(frozen=True)
class Entry:
    """One thing that was done. `sequence` counts from 1 within its chain; `hash` is 64 hex digits."""

    chain: UUID
    sequence: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str | None
    action: str
    subject: str
    before: Any
    after: Any
    previous_hash: str
    hash: str

    @property
    def content(self) -> dict[str, Any]:
        """What the hash covers, beside the hash before it."""
        return {
            "chain": str(self.chain),
            "sequence": self.sequence,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": [self.actor_kind, self.actor_id, self.actor_name],
            "address": self.address,
            "action": self.action,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True)
class Head:
    """The newest entry of a chain, kept apart from it."""

    sequence: int
    hash: str


@dataclass(frozen=True)
class Flaw:
    """The first thing that does not fit; `sequence` is where."""

    sequence: int
    problem: str


def entry_hash(previous_hash: str, content: Mapping[str, Any]) -> str:
    """SHA-256 over the hash before and the content as JSON with sorted keys, in hex."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous_hash}\n{text}".encode()).hexdigest()


def without_secrets(value: Any) -> Any:
    """A copy in which every value whose name speaks of a secret is replaced: the log keeps no credentials."""
    if isinstance(value, Mapping):
        return {
            str(key): REMOVED if item is not None and _is_secret(str(key)) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Without what neither PostgreSQL nor UTF-8 holds: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


class ChainCheck:
    """Follows a chain from its first entry; feed it the entries in their order, then ask `flaw`."""

    def __init__(self, chain: UUID) -> None:
        self._chain = chain
        self._flaw: Flaw | None = None
        self.count = 0
        self.last_hash = GENESIS

    def feed(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if self._flaw is None:
                self._flaw = self._look_at(entry)
            self.count += 1
            self.last_hash = entry.hash

    def flaw(self, head: Head) -> Flaw | None:
        """The first flaw, or None for a chain that is whole up to its head."""
        if self._flaw is not None:
            return self._flaw
        if (self.count, self.last_hash) != (head.sequence, head.hash):
            return Flaw(self.count + 1, f"The chain ends at {self.count}, its head says {head.sequence}.")
        return None

    def _look_at(self, entry: Entry) -> Flaw | None:
        expected = self.count + 1
        if entry.chain != self._chain:
            return Flaw(expected, "The entry belongs to another chain.")
        if entry.sequence != expected:
            return Flaw(expected, f"Entry {expected} is missing; {entry.sequence} follows.")
        if entry.previous_hash != self.last_hash:
            return Flaw(expected, "The entry does not follow the one before it.")
        if entry.hash != entry_hash(entry.previous_hash, entry.content):
            return Flaw(expected, "The entry was changed after it was written.")
        return None
