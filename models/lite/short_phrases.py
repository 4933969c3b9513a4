"""Short answers (`five`, `no`, `thank you`) told apart by the whole acoustic model.

A trigram makes `fine` of a lone `five`, and pocketsphinx's silence swallows soft consonants. Here each
phrase is a chain of states, silence is allowed where the line is quiet and nowhere else, and the likeliest
chain wins (Viterbi over all chains at once: about 40 ms for a second of speech and 130 phrases).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.lite.acoustic_model import AcousticModel, Floats
from models.lite.features import Analysis, with_differences

_QUIET_BELOW_PEAK = 9.0
"""Natural logarithm of power (39 dB): louder frames than that below the peak are part of the phrase."""
_STAY = float(np.log(0.5))
_NEVER = -1e30


@dataclass(frozen=True)
class Phrase:
    """A phrase, how it may be said (phones of each word), and the logarithm of how likely it is."""

    text: str
    sayings: tuple[tuple[tuple[str, ...], ...], ...]
    prior: float


@dataclass(frozen=True)
class Match:
    """The likeliest phrase in some frames."""

    text: str
    words: tuple[tuple[str, int, int], ...]
    """Each word, its first frame and the frame after its last."""
    score: float
    """Logarithm of its likelihood, prior included; comparable between matches of the same frames."""
    fit: float
    """How much less likely per frame than any sounds at all: 0 is perfect, -3 is bad."""
    lead: float
    """By how much it is likelier than the next phrase."""


@dataclass(frozen=True)
class _Chain:
    phrase: Phrase
    states: list[list[int]]
    """Of each word."""

    @property
    def length(self) -> int:
        return sum(len(word) for word in self.states)


def sayings(
    text: str, pronunciations: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """All ways to say a phrase whose words have these pronunciations; none when a word has none."""
    words = [[tuple(each.split()) for each in pronunciations.get(word, ())] for word in text.split()]
    return tuple(itertools.product(*words))


class ShortPhrases:
    """A set of phrases to choose from. Not changed by matching, so streams may share it."""

    def __init__(self, model: AcousticModel, phrases: list[Phrase]) -> None:
        self._model = model
        self._chains = [chain for phrase in phrases for chain in self._chains_of(phrase)]
        flat = [[state for word in chain.states for state in word] for chain in self._chains]
        self._states = np.unique([*itertools.chain(*flat), *model.spoken, *model.silence, *model.noise])
        self._lengths = np.array([len(states) for states in flat])
        self._table: NDArray[np.int64] = np.zeros((len(flat), int(self._lengths.max())), np.int64)
        for row, states in enumerate(flat):
            self._table[row, : len(states)] = np.searchsorted(self._states, states)
        self._priors = np.array([chain.phrase.prior for chain in self._chains])
        self._spoken = np.searchsorted(self._states, model.spoken)
        self._quiet = np.searchsorted(self._states, [*model.silence, *model.noise])

    def match(self, heard: Analysis, also: Phrase | None = None, *, nothing_else: bool = False) -> Match:
        """The likeliest phrase; `also` is one more to choose from, or the only one with `nothing_else`."""
        extra = self._chains_of(also) if also else []
        states = np.array([state for chain in extra for word in chain.states for state in word], np.int64)
        frames = with_differences(heard.cepstra)
        likelihood = self._model.log_likelihood(frames, np.concatenate([self._states, states]))
        silence = np.where(
            heard.level < heard.level.max() - _QUIET_BELOW_PEAK,
            likelihood[:, self._quiet].max(axis=1),
            _NEVER,
        )
        anything = np.maximum(likelihood[:, self._spoken].max(axis=1), silence)
        found: list[tuple[float, _Chain, NDArray[np.int64]]] = []
        if not nothing_else:
            totals = self._scores(likelihood, silence) + self._priors
            rows = zip(totals.tolist(), self._chains, self._table, self._lengths, strict=True)
            found += [(total, chain, row[:length]) for total, chain, row, length in rows]
        column = len(self._states)
        for chain in extra:
            columns = column + np.arange(chain.length)
            column += chain.length
            score = _best_score(likelihood[:, columns], silence)
            found.append((score + chain.phrase.prior, chain, columns))
        best, winner, columns = max(found, key=lambda each: each[0])
        phrase = winner.phrase
        others = [score for score, other, _ in found if other.phrase.text != phrase.text]
        loud = max(1, int((silence <= _NEVER).sum()))
        return Match(
            phrase.text,
            _times(winner, likelihood[:, columns], silence),
            best,
            (best - phrase.prior - float(anything.sum())) / loud,
            best - max(others, default=_NEVER),
        )

    def _chains_of(self, phrase: Phrase) -> list[_Chain]:
        return [_Chain(phrase, self._model.states_of(saying)) for saying in phrase.sayings]

    def _scores(self, likelihood: Floats, silence: Floats) -> Floats:
        """Of each chain, with silence before and after it."""
        before = np.concatenate([[0.0], np.cumsum(silence)])
        after = np.cumsum(silence[::-1])[::-1]
        after = np.append(after[1:], 0.0)
        rows = np.arange(len(self._table))
        reached = np.full(self._table.shape, _NEVER)
        best = np.full(len(rows), _NEVER)
        for frame, states in enumerate(likelihood):
            stepped = np.full_like(reached, _NEVER)
            stepped[:, 1:] = reached[:, :-1]
            reached = np.maximum(reached, stepped) + _STAY
            reached[:, 0] = np.maximum(reached[:, 0], before[frame])
            reached += states[self._table]
            best = np.maximum(best, reached[rows, self._lengths - 1] + after[frame])
        return best


def _best_score(scores: Floats, silence: Floats) -> float:
    """Of one chain, with silence before and after it."""
    path = best_path(np.column_stack([silence, scores, silence]))
    columns = np.column_stack([silence, scores, silence])
    inside = (path > 0) & (path <= scores.shape[1])
    return float(columns[np.arange(len(path)), path].sum() + _STAY * inside.sum())


def _times(chain: _Chain, scores: Floats, silence: Floats) -> tuple[tuple[str, int, int], ...]:
    """Where each word begins and ends."""
    path = best_path(np.column_stack([silence, scores, silence]))
    owner = np.array([-1, *(word for word, states in enumerate(chain.states) for _ in states), -1])[path]
    return tuple(
        (word, int(np.flatnonzero(owner == number)[0]), int(np.flatnonzero(owner == number)[-1]) + 1)
        for number, word in enumerate(chain.phrase.text.split())
    )


def best_path(scores: Floats, optional: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The state of each frame on the best way through a chain; `scores` is `[frames, states]`.

    States marked optional may be skipped; without marks the first and the last one may.
    """
    frames, states = scores.shape
    if optional is None:
        skipped: NDArray[np.bool_] = np.zeros(states, bool)
        skipped[[0, -1]] = True
    else:
        skipped = optional
    reached = np.full(states, _NEVER)
    reached[0] = scores[0, 0]
    if skipped[0]:
        reached[1] = scores[0, 1]
    came: NDArray[np.int64] = np.zeros((frames, states), np.int64)
    over = np.concatenate([[False, False], skipped[1:-1]])
    for frame in range(1, frames):
        one = np.concatenate([[_NEVER], reached[:-1]])
        two = np.where(over, np.concatenate([[_NEVER, _NEVER], reached[:-2]]), _NEVER)
        ways = np.stack([reached, one, two])
        came[frame] = ways.argmax(axis=0)
        reached = ways.max(axis=0) + scores[frame]
    state = states - 1
    if skipped[-1] and reached[-2] > reached[-1]:
        state = states - 2
    path: NDArray[np.int64] = np.zeros(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(came[frame, state])
    return path
