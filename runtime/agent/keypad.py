"""Digits pressed on the telephone, collected into one input. Pure: time is passed in."""

from __future__ import annotations

_KEYS = frozenset("0123456789*#ABCD")
_MOST_KEYS = 32


class Keypad:
    """Collects keys until `#`, a pause, or the most that fit; then they are one input."""

    def __init__(self, *, pause_seconds: float = 2.0) -> None:
        self._pause_seconds = pause_seconds
        self._keys = ""
        self._last = 0.0
        self._ended = False

    @property
    def collecting(self) -> bool:
        return bool(self._keys)

    def press(self, key: str, now: float) -> bool:
        """Takes a key; False for what is none."""
        key = key.strip().upper()
        if key not in _KEYS or self._ended:
            return False
        self._keys += key
        self._last = now
        self._ended = key == "#" or len(self._keys) >= _MOST_KEYS
        return True

    def due(self, now: float) -> str | None:
        """The collected keys when they are complete, for example `12#`; they are taken out."""
        if not self._keys or not (self._ended or now - self._last >= self._pause_seconds):
            return None
        keys, self._keys, self._ended = self._keys, "", False
        return keys


def as_words(keys: str) -> str:
    """How the conversation tells of pressed keys: `pressed 1 2 #`."""
    return "pressed " + " ".join(keys)
