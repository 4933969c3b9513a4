"""Sound that was made already, by its content: in memory alone, bounded by bytes, the longest unused goes."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict

from models.tts.clause import Clause, Manner, Sounds


def content_key(model_sha256: str, clause: Clause, manner: Manner) -> str:
    """A hash over everything that decides the sound."""
    pieces = [["sounds" if isinstance(one, Sounds) else "words", str(one)] for one in clause.pieces]
    said = [model_sha256, pieces, clause.pause_ms, manner.speaker, manner.language, round(manner.speed, 4)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class SoundCache:
    """Shaped sound by key. A sound larger than an eighth of the bound is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sounds: OrderedDict[str, bytes] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: str) -> bytes | None:
        sound = self._sounds.get(key)
        if sound is not None:
            self._sounds.move_to_end(key)
        return sound

    def put(self, key: str, sound: bytes) -> None:
        if not sound or len(sound) > self._max_bytes // 8:
            return
        self.size_bytes -= len(self._sounds.pop(key, b""))
        self._sounds[key] = sound
        self.size_bytes += len(sound)
        while self.size_bytes > self._max_bytes:
            _, dropped = self._sounds.popitem(last=False)
            self.size_bytes -= len(dropped)
