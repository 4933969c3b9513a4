"""How much of a text the caller has heard when the agent was interrupted."""

from __future__ import annotations

from livekit.agents.voice import io
from typing_extensions import override

_CHARACTERS_PER_SECOND = 15.0
"""A usual pace of speech, where the length of the whole is not known yet."""


def heard_part(text: str, heard_seconds: float, whole_seconds: float | None) -> str:
    """The beginning of `text` that fits into `heard_seconds`, in whole words.

    `whole_seconds` is how long all of it takes, None when the voice had not made all of it yet. Pure.
    """
    if heard_seconds <= 0 or not text:
        return ""
    if whole_seconds is not None and heard_seconds >= whole_seconds:
        return text
    if whole_seconds:
        count = int(len(text) * heard_seconds / whole_seconds)
    else:
        count = int(heard_seconds * _CHARACTERS_PER_SECOND)
    if count >= len(text):
        return text
    cut = text.rfind(" ", 0, count + 1)
    return text[:cut].rstrip() if cut > 0 else ""


class SpokenText(io.TextOutput):
    """Keeps the text of the speech under way; the session writes it beside the audio."""

    def __init__(self) -> None:
        super().__init__(label="spoken-text", next_in_chain=None)
        self._text = ""
        self._ended = False

    @property
    def text(self) -> str:
        return self._text

    @override
    async def capture_text(self, text: str) -> None:
        if self._ended:
            self._text, self._ended = "", False
        self._text += text

    @override
    def flush(self) -> None:
        self._ended = True
