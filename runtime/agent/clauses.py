"""Cuts a stream of text into clauses, so that the voice can begin before the sentence is complete. Pure."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?…:;][\"')\]]*\s|\n|[。！？]")
_COMMA = re.compile(r",\s")
_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|mr|mrs|ms|prof|st|no|nr|z\.b|e\.g|i\.e|a\.m|p\.m)|\b[A-Z])\.\s$", re.IGNORECASE
)


class ClauseSplitter:
    """`push` returns the clauses that became complete, `rest` what is left at the end.

    The first clause may end at a comma once it has `first_minimum` characters, the others end with their
    sentence or, when longer than `longest`, at a comma or a space.
    """

    def __init__(self, *, first_minimum: int = 12, longest: int = 160) -> None:
        self._first_minimum = first_minimum
        self._longest = longest
        self._text = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        self._text += text
        clauses: list[str] = []
        while (end := self._end()) is not None:
            clause, self._text = self._text[:end], self._text[end:]
            if clause.strip():
                clauses.append(clause)
                self._first = False
        return clauses

    def rest(self) -> str:
        text, self._text = self._text, ""
        self._first = True
        return text if text.strip() else ""

    def _end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._text):
            if match.end() >= 2 and not _ABBREVIATION.search(self._text[: match.end()]):
                return match.end()
        if self._first:
            for match in _COMMA.finditer(self._text):
                if match.start() >= self._first_minimum:
                    return match.end()
        if len(self._text) > self._longest:
            window = self._text[: self._longest]
            cut = max(window.rfind(", ") + 2, 0) if ", " in window else window.rfind(" ") + 1
            return cut or self._longest
        return None
