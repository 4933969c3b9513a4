"""The turns of a call as a waterfall: where the time went between the caller's last word and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.calls.archive_domain import ShownTurn

WIDTH = 600
"""Units of the drawing; the page stretches it."""
_SHORTEST_SCALE_MS = 1000.0
STAGES = {
    "vad_end": "Silence noticed",
    "end_of_turn": "End of turn decided",
    "stt_final": "Words final",
    "llm_first_token": "First token",
    "first_clause": "First clause",
    "tts_first_audio": "Voice begins",
    "first_audio_out": "Sent to the caller",
}


@dataclass(frozen=True)
class Piece:
    """From one stamp to the next; `x` and `width` in units of the drawing."""

    stage: str
    label: str
    x: float
    width: float
    from_ms: float
    to_ms: float


@dataclass(frozen=True)
class TurnRow:
    turn: ShownTurn
    pieces: list[Piece]
    answer_ms: float | None


@dataclass(frozen=True)
class Waterfall:
    rows: list[TurnRow]
    scale_ms: float
    marks: list[tuple[float, str]]
    """Where a line stands and what it says."""
    of: int
    """How many turns there are; more than the rows when only the slowest are shown."""


def waterfall(turns: Sequence[ShownTurn], *, most: int | None = None) -> Waterfall:
    """The turns on one scale, which ends with the slowest; of more than `most` only the slowest, in order."""
    of = len(turns)
    if most is not None and of > most:
        by_answer = sorted(range(of), key=lambda index: -turns[index].stamps.get("first_audio_out", 0.0))
        turns = [turns[index] for index in sorted(by_answer[:most])]
    slowest = max((max(turn.stamps.values(), default=0.0) for turn in turns), default=0.0)
    scale_ms = max(slowest, _SHORTEST_SCALE_MS)
    step = next((each for each in (250, 500, 1000, 2000, 5000) if scale_ms / each <= 6), 10_000)
    marks = [(WIDTH * each / scale_ms, f"{each / 1000:g} s") for each in range(step, int(scale_ms) + 1, step)]
    return Waterfall([_row(turn, scale_ms) for turn in turns], scale_ms, marks, of)


def _row(turn: ShownTurn, scale_ms: float) -> TurnRow:
    pieces: list[Piece] = []
    at = 0.0
    known = [(ms, name) for name, ms in turn.stamps.items() if name in STAGES and ms > 0]
    for ms, name in sorted(known):
        if ms > at:
            x, width = WIDTH * at / scale_ms, WIDTH * (ms - at) / scale_ms
            pieces.append(Piece(name, STAGES[name], round(x, 1), round(max(width, 1.0), 1), at, ms))
            at = ms
    return TurnRow(turn, pieces, turn.stamps.get("first_audio_out"))
