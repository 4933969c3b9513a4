"""The log of a call's turns and of who spoke when. Pure: times are passed in as seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appliance.calls.domain import Segment, Speaker, StampName, Turn

_MOST_TOOL_CALLS = 100
_MOST_TEXT = 40_000
_OF_THE_ANSWER: tuple[StampName, ...] = ("llm_first_token", "first_clause", "tts_first_audio")


@dataclass
class _OpenTurn:
    index: int
    started_at: float
    caller_text: str = ""
    stopped_at: float | None = None
    agent_texts: list[str] = field(default_factory=list[str])
    interrupted: bool = False
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    marks: dict[StampName, float] = field(default_factory=dict[StampName, float])

    def closed(self) -> Turn:
        stamps: dict[StampName, float] = {}
        if self.stopped_at is not None:
            stamps = {name: round((at - self.stopped_at) * 1000, 1) for name, at in self.marks.items()}
        return Turn(
            index=self.index,
            caller_text=self.caller_text[:_MOST_TEXT],
            agent_text=" ".join(text.strip() for text in self.agent_texts if text.strip())[:_MOST_TEXT],
            started_at=datetime.fromtimestamp(self.started_at, UTC),
            interrupted=self.interrupted,
            stamps=stamps,
            tool_calls=tuple(self.tool_calls[:_MOST_TOOL_CALLS]),
        )


class TurnLog:
    """Turns of a call in order. What belongs to an answer goes to the turn that it answers.

    Marks that come before the caller's words are committed (speculative work) wait and are taken over by the
    next turn; a new attempt at an answer replaces the marks of the one before it, until its audio is out.
    """

    def __init__(self, first_index: int = 0) -> None:
        self._first_index = first_index
        self._turns: list[_OpenTurn] = []
        self._marks: dict[StampName, float] = {}
        self._changed: set[int] = set()
        self._segments: list[Segment] = []

    def continue_from(self, index: int) -> None:
        """The next turn has this index: an earlier worker has had those before it."""
        if not self._turns:
            self._first_index = index

    def caller_said(self, text: str, *, started_at: float, stopped_at: float | None) -> None:
        """The caller's turn is committed; the answer follows."""
        turn = self._open(started_at)
        turn.caller_text = text
        turn.stopped_at = stopped_at
        turn.marks, self._marks = self._marks, {}
        if stopped_at is None:
            turn.marks = {}

    def agent_said(self, text: str, *, at: float, interrupted: bool = False) -> None:
        """What the caller has heard of the agent; it belongs to the last turn, or opens the first."""
        turn = self._turns[-1] if self._turns else self._open(at)
        turn.agent_texts.append(text)
        turn.interrupted = turn.interrupted or interrupted
        self._changed.add(turn.index)

    def tool_called(self, call: dict[str, Any], *, at: float) -> None:
        turn = self._turns[-1] if self._turns else self._open(at)
        turn.tool_calls.append(call)
        self._changed.add(turn.index)

    def mark(self, name: StampName, at: float, *, speculative: bool = False) -> None:
        """A moment of the answer under way. `speculative`: the caller's turn is not committed yet."""
        if speculative:
            self._marks[name] = at
            return
        if not self._turns:
            return  # the greeting answers nobody
        marks = self._turns[-1].marks
        if "first_audio_out" not in marks:
            marks.setdefault(name, at)

    def answer_begins(self, *, speculative: bool) -> None:
        """A new attempt at an answer: what an earlier attempt marked and nobody heard is void."""
        marks = self._turns[-1].marks if self._turns and not speculative else self._marks
        if "first_audio_out" not in marks:
            for name in _OF_THE_ANSWER:
                marks.pop(name, None)

    def spoke(
        self, speaker: Speaker, text: str, *, starts_ms: int, ends_ms: int, confidence: float | None = None
    ) -> None:
        """A stretch of speech for the transcript, in milliseconds of the recording."""
        if text.strip():
            starts = max(starts_ms, 0)
            self._segments.append(
                Segment(
                    speaker=speaker,
                    starts_ms=starts,
                    ends_ms=max(ends_ms, starts),
                    text=text.strip()[:_MOST_TEXT],
                    confidence=None if confidence is None else min(max(confidence, 0.0), 1.0),
                )
            )

    def take_changed(self) -> list[Turn]:
        """The turns that are new or different since the last time, to be posted."""
        changed = [turn.closed() for turn in self._turns if turn.index in self._changed]
        self._changed.clear()
        return changed

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(turn.closed() for turn in self._turns)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(sorted(self._segments, key=lambda segment: (segment.starts_ms, segment.ends_ms)))

    def _open(self, started_at: float) -> _OpenTurn:
        turn = _OpenTurn(self._first_index + len(self._turns), started_at)
        self._turns.append(turn)
        self._changed.add(turn.index)
        return turn


def outcome_of_tools(actions: Iterable[str]) -> str | None:
    """What the tools that succeeded made of the call: a booking outweighs an order."""
    done = set(actions)
    if "create_booking" in done:
        return "booked"
    if "create_order" in done:
        return "ordered"
    return None
