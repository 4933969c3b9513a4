"""What was said in a piece of speech: the sentence that pocketsphinx decoded, short phrases, or nothing.

The decoder's sentence is one more phrase beside the short ones; all are judged by the same likelihoods. What
fits badly is left out (no words are better than wrong ones), and what no pattern allows is not trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from models.lite.acoustic_model import adapted_model
from models.lite.features import Analysis, Floats
from models.lite.pronouncing import pronunciations
from models.lite.short_phrases import Match, Phrase, ShortPhrases, sayings
from models.lite.vocabulary import Vocabulary, load_vocabulary

_PRIOR_SCALE = 10.0
"""How much a prior weighs beside the sum of many frames' likelihoods, which are not independent."""
_SENTENCE, _UNUSUAL = -60.0, -180.0
"""Priors of what the trigram heard: a sentence of the patterns, or other words and names (it chose these
among hundreds, so that one of them always fits well)."""
_MOST_WEIGHT = 20.0
_SHORT_FRAMES = 150
_JUDGED_FRAMES = 500
_PAUSE_FRAMES = 18
_PAUSE_BELOW_PEAK = 6.0
_MARGIN_FRAMES = 20
_EACH_WORD = 20.0
_EACH_PART = 60.0
"""What a phrase more costs."""
_NEVER = -1e30
_STEADY = 1.7
"""Natural logarithm of power (7 dB): the loud frames of noise differ by less (1.4 at most), those of most
words by more ("yes please" by 1.5, which fits far better than noise does)."""
_WORST_FIT = -5.2
_GOOD_FIT = -1.5
"""Noise fitted its best phrase by -1.8 at most."""
_OUTSIDE_PATTERNS = 0.4


@dataclass(frozen=True)
class Heard:
    """A word with its frames in the piece, and how sure it is (0 to 1)."""

    word: str
    first_frame: int
    end_frame: int
    confidence: float


class Judge:
    """Decides between the sentence and short phrases. Each recogniser has one; the phrases are shared."""

    def __init__(self, vocabulary: Vocabulary, promised: Sequence[str] = ()) -> None:
        self._vocabulary = vocabulary
        self._promised = frozenset(promised)
        self._short = _short_phrases(vocabulary.language)

    def words(self, heard: Analysis, sentence: str) -> list[Heard] | None:
        """The words; none for what is no speech; None where the sentence stands as it was decoded."""
        if len(heard.level) > _JUDGED_FRAMES or not sentence:
            return None if sentence else []
        start, end = _loud_part(heard.level)
        best = max(
            (self._whole(heard, start, end, sentence), self._parts(heard, start, end)),
            key=lambda matches: sum(
                (match.score - _EACH_PART for match, _ in matches), _NEVER * (not matches)
            ),
        )
        if _is_steady(heard.level) and any(match.fit < _GOOD_FIT for match, _ in best):
            return []
        return [word for match, first in best for word in self._heard(match, first)]

    def _heard(self, match: Match, start: int) -> list[Heard]:
        if match.fit < _WORST_FIT:
            return []
        sure = float(np.clip((match.fit - _WORST_FIT) / (_GOOD_FIT - _WORST_FIT), 0.05, 1.0))
        if not (match.text in self._promised or self._vocabulary.is_sentence(match.text)):
            sure *= _OUTSIDE_PATTERNS
        return [Heard(word, start + first, start + end, round(sure, 3)) for word, first, end in match.words]

    def _whole(self, heard: Analysis, start: int, end: int, sentence: str) -> list[tuple[Match, int]]:
        """The piece as one phrase: the sentence, or a short phrase where the piece is short."""
        known = {word: pronunciations(self._vocabulary, word) for word in sentence.split()}
        likely = sentence in self._promised or self._vocabulary.is_sentence(sentence)
        prior = (_SENTENCE if likely and len(known) > 1 else _UNUSUAL) - _EACH_WORD * (len(known) - 1)
        phrase = Phrase(sentence, sayings(sentence, known)[:8], prior)
        short = end - start <= _SHORT_FRAMES
        return [(self._short.match(_piece(heard, start, end), phrase, nothing_else=not short), start)]

    def _parts(self, heard: Analysis, start: int, end: int) -> list[tuple[Match, int]]:
        """The piece as several phrases with pauses between them; none when it has no pause."""
        edges = [start, *_pauses(heard.level), end]
        spans = list(pairwise(edges))
        if len(spans) == 1 or max(last - first for first, last in spans) > _SHORT_FRAMES:
            return []
        return [(self._short.match(_piece(heard, first, last)), first) for first, last in spans]


def _piece(heard: Analysis, start: int, end: int) -> Analysis:
    return Analysis(heard.cepstra[start:end], heard.level[start:end])


def _prior(weight: float) -> float:
    return _PRIOR_SCALE * float(np.log(weight / _MOST_WEIGHT))


@cache
def _short_phrases(language: str) -> ShortPhrases:
    """The short phrases of a language, for all recognisers of the process."""
    vocabulary = load_vocabulary(language)
    phrases: list[Phrase] = []
    for short in vocabulary.short:
        known = {word: pronunciations(vocabulary, word) for word in short.text.split()}
        if all(known.values()):
            phrases.append(Phrase(short.text, sayings(short.text, known), _prior(short.weight)))
    return ShortPhrases(adapted_model(), phrases)


def _is_steady(level: Floats) -> bool:
    """Whether the loud frames are all as loud, as noise and tones are and speech is not."""
    loud = level[level > level.max() - _PAUSE_BELOW_PEAK]
    return bool(level.max() - np.percentile(loud, 20) < _STEADY)


def _loud_part(level: Floats) -> tuple[int, int]:
    """The frames from shortly before the first loud one to shortly after the last."""
    loud = np.flatnonzero(level > level.max() - _PAUSE_BELOW_PEAK)
    return max(0, int(loud[0]) - _MARGIN_FRAMES), min(len(level), int(loud[-1]) + 1 + _MARGIN_FRAMES)


def _pauses(level: Floats) -> list[int]:
    """The middle of each pause between loud frames."""
    loud = np.flatnonzero(level > level.max() - _PAUSE_BELOW_PEAK)
    gaps = np.flatnonzero(np.diff(loud) > _PAUSE_FRAMES)
    return [int(loud[gap] + loud[gap + 1]) // 2 for gap in gaps]
