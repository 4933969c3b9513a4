"""Phrases that a stream listens for (names, products): their tokens are preferred where a word is heard.

Only the choice among words is moved, never the choice between a word and silence, so that no phrase is heard
where nothing was said. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

BONUS = 2.0
"""Added to the log-probability of each token that begins or goes on with a phrase."""


class Phrases:
    """The phrases of one stream, as token sequences."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self._sequences = [tuple(sequence) for sequence in sequences if sequence]
        self._open: set[tuple[int, int]] = set()

    def __bool__(self) -> bool:
        return bool(self._sequences)

    def preferred(self) -> dict[int, float]:
        """The bonus of each token that would begin a phrase or go on with one."""
        wanted = {sequence[0]: BONUS for sequence in self._sequences}
        for index, at in self._open:
            wanted[self._sequences[index][at]] = BONUS
        return wanted

    def heard(self, token: int) -> None:
        """A token was chosen: which phrases go on."""
        going = {
            (index, at + 1)
            for index, at in self._open
            if self._sequences[index][at] == token and at + 1 < len(self._sequences[index])
        }
        going |= {
            (index, 1)
            for index, sequence in enumerate(self._sequences)
            if sequence[0] == token and len(sequence) > 1
        }
        self._open = going

    def fork(self) -> Phrases:
        """The same phrases, as far as they were heard; what the copy hears is its own."""
        fork = Phrases(self._sequences)
        fork._open = set(self._open)
        return fork

    def forget(self) -> None:
        self._open.clear()
