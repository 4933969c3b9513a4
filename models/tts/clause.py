"""What an engine is asked to say at one time, and what an engine is. Pure: only an engine needs torch.

A clause is made of pieces: words in the model's language, and sounds in the phonetic alphabet. Pauses lie
between clauses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Words:
    """Normalised text: no digits, no markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Sounds:
    """Phonemes of the international phonetic alphabet."""

    ipa: str


Piece = Words | Sounds


@dataclass(frozen=True, slots=True)
class Clause:
    """One breath of speech, and the silence that follows it."""

    pieces: tuple[Piece, ...]
    pause_ms: int = 0

    @property
    def text(self) -> str:
        return " ".join(piece.text if isinstance(piece, Words) else piece.ipa for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is said: names as the model has them, and the speed as a factor of its own."""

    speaker: str
    language: str
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Encoded:
    """A clause as the model takes it; `content` is the engine's own."""

    content: Any
    manner: Manner


class Engine(Protocol):
    """A loaded model. `encode` may run in any thread; `render` and `stream` only in the engine's own."""

    name: str
    version: str
    sample_rate_hz: int
    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    max_batch: int
    """Clauses that one `render` may take; 0 for an engine that streams instead."""

    def encode(self, clause: Clause, manner: Manner) -> Encoded:
        """Raises InvalidInput when the model has no sound for any of it."""
        ...

    def render(self, batch: Sequence[Encoded]) -> list[Samples]:
        """All of them at once, each with exactly its own length."""
        ...

    def stream(self, encoded: Encoded) -> Iterator[Samples]:
        """Pieces of sound while the model goes on; may be closed at any time."""
        ...

    def memory_mib(self) -> float:
        """What the model holds on its device, in MiB; of the process where the device is the CPU."""
        ...
