"""Greedy decoding of transducers (RNNT and TDT), many streams in one pass, each with a state of its own.

NeMo's own decoders keep the hypotheses of a batch together; here nothing of a stream lies outside of its
`Decoding`, so that no stream can see another's words. Sources: Graves 2012 (RNNT), Xu et al. 2023 (TDT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from models.stt.phrases import Phrases

MAX_SYMBOLS = 5
"""Tokens of one frame: 80 ms of speech hold no more."""


@dataclass
class Token:
    id: int
    frame: int
    """Frame of the encoder since the segment began."""
    confidence: float


@dataclass
class Decoding:
    """What the decoder knows of one segment of one stream."""

    output: torch.Tensor
    """The prediction network's answer to what was said so far, projected: [1, 1, H]."""
    hidden: Any
    phrases: Phrases
    tokens: list[Token] = field(default_factory=list[Token])
    frames: int = 0
    skip: int = 0
    """Frames that the last duration (TDT) jumps over."""


class GreedyTransducer:
    """Decodes with the prediction and joint networks of a NeMo model."""

    def __init__(self, model: Any) -> None:
        self._decoder, self._joint = model.decoder, model.joint
        self._blank = int(model.decoder.blank_idx)
        settings = model.cfg.decoding
        self._durations = [int(duration) for duration in settings.get("durations") or []]
        output, hidden = self._decoder.predict(None, None, add_sos=False, batch_size=1)
        self._first = self._joint.project_prednet(output)
        self._first_hidden = hidden

    def begin(self, phrases: Phrases) -> Decoding:
        """The state before anything was said."""
        phrases.forget()
        return Decoding(self._first, self._first_hidden, phrases)

    def decode(self, streams: Sequence[Decoding], encoded: torch.Tensor, frames: Sequence[int]) -> None:
        """Appends what is heard in `encoded` [B, D, T] to each stream's tokens; `frames` count of T."""
        projected = self._joint.project_encoder(encoded.transpose(1, 2))
        for t in range(projected.size(1)):
            active = [row for row, count in enumerate(frames) if t < count]
            hearing = [row for row in active if streams[row].skip == 0]
            self._frame(streams, projected[:, t : t + 1], hearing)
            for row in active:
                streams[row].frames += 1
                streams[row].skip = max(streams[row].skip - 1, 0)

    def _frame(self, streams: Sequence[Decoding], frame: torch.Tensor, rows: list[int]) -> None:
        for _ in range(MAX_SYMBOLS):
            if not rows:
                return
            before = torch.cat([streams[row].output for row in rows])
            scores = self._joint.joint_after_projection(frame[rows], before)[:, 0, 0]
            logp = scores[:, : self._blank + 1].float().log_softmax(1).cpu()
            jumps = self._jumps(scores, rows)
            said: list[tuple[int, int]] = []
            again: list[int] = []
            for at, row in enumerate(rows):
                stream = streams[row]
                token = self._choose(logp[at], stream.phrases)
                jump = jumps[at]
                if token != self._blank:
                    sure = float(logp[at, token].exp())
                    stream.tokens.append(Token(token, stream.frames, sure))
                    stream.phrases.heard(token)
                    said.append((row, token))
                elif jump == 0:
                    jump = 1  # a blank that stays would never end
                if jump > 0:
                    stream.skip = jump
                elif token != self._blank:
                    again.append(row)
            self._say(streams, said)
            rows = again

    def _jumps(self, scores: torch.Tensor, rows: list[int]) -> list[int]:
        """By how many frames each row goes on: TDT says it, RNNT goes on at a blank alone (0 here)."""
        if not self._durations:
            return [0] * len(rows)
        best = scores[:, self._blank + 1 :].argmax(1).tolist()
        return [self._durations[index] for index in best]

    def _choose(self, logp: torch.Tensor, phrases: Phrases) -> int:
        best = int(logp.argmax())
        if best == self._blank or not phrases:
            return best
        moved = logp[: self._blank].clone()
        for token, bonus in phrases.preferred().items():
            moved[token] += bonus
        return int(moved.argmax())

    def _say(self, streams: Sequence[Decoding], said: list[tuple[int, int]]) -> None:
        """Lets the prediction network hear the tokens that were chosen."""
        if not said:
            return
        tokens = torch.tensor([[token] for _, token in said], device=self._first.device)
        states = [streams[row].hidden for row, _ in said]
        hidden = [torch.cat([state[part] for state in states], 1) for part in range(len(states[0]))]
        output, after = self._decoder.predict(tokens, hidden, add_sos=False)
        projected = self._joint.project_prednet(output)
        for at, (row, _) in enumerate(said):
            streams[row].output = projected[at : at + 1]
            streams[row].hidden = [part[:, at : at + 1].contiguous() for part in after]
