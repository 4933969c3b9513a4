"""Sounds that say "I am listening" and do not mean to interrupt. Pure."""

from __future__ import annotations

import re

_SOUNDS = frozenset(
    """
    m mm mmm mhm mmhm mhmm hm hmm hmmm hmhm uh uhh um umm uhm aha uhuh uhhuh huh ah oh eh er erm
    okay ok right ja
    """.split()  # noqa: SIM905 - a list of words reads as one
)
_WORD = re.compile(r"[^\W\d_]+")


def is_backchannel(text: str) -> bool:
    """Whether `text` is nothing but such sounds, for example "mhm" or "uh-huh"."""
    words = _WORD.findall(text.lower().replace("-", ""))
    return bool(words) and len(words) <= 3 and all(word in _SOUNDS for word in words)
