"""Greedy decoding of transducers (RNNT and TDT), many streams in one pass, each with a state of its own.

NeMo's own decoders keep the hypotheses of a batch together; here nothing of a stream lies outside of its
`Decoding`, so that no stream can see another's words. Sources: Graves 2012 (RNNT), Xu et al. 2023 (TDT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from models.stt.phrases import Phrases

MAX_SYMBOLS = 5
"""Tokens of one frame, for a model that states nothing else: 80 ms of speech hold no more."""

PAUSE_FRAMES = 16
"""After so much silence in a segment (1.3 s) the prediction network begins anew: one that has said a whole
sentence may wait for nothing but its end, and miss what is said after a pause. With 0.8 s it heard words at
the end of a segment that nobody had said."""


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
    last: int = 0
    """Frame of the last token."""
    spoke: bool = False
    """Whether a token was heard since the prediction network began."""
    skip: int = 0
    """Frames that the last duration (TDT) jumps over."""

    def fork(self) -> Decoding:
        """A copy that goes on by itself; tensors are replaced and never written to."""
        return replace(self, tokens=list(self.tokens), phrases=self.phrases.fork())


class GreedyTransducer:
    """Decodes with the prediction and joint networks of a NeMo model."""

    def __init__(self, model: Any, *, begins_anew: bool = True) -> None:
        """`begins_anew` after a pause; not for a model that hears whole segments, as it was trained."""
        self._begins_anew = begins_anew
        self._decoder, self._joint = model.decoder, model.joint
        self._blank = int(model.decoder.blank_idx)
        settings = model.cfg.decoding
        self._durations = [int(duration) for duration in settings.get("durations") or []]
        self._max_symbols = int((settings.get("greedy") or {}).get("max_symbols") or MAX_SYMBOLS)
        output, hidden = self._decoder.predict(None, None, add_sos=False, batch_size=1)
        self._first = self._joint.project_prednet(output)
        self._first_hidden = hidden

    def begin(self, phrases: Phrases) -> Decoding:
        """The state before anything was said."""
        phrases.forget()
        return Decoding(self._first, self._first_hidden, phrases)

    def decode(self, streams: Sequence[Decoding], encoded: torch.Tensor, frames: Sequence[int]) -> None:
        """Appends what is heard in `encoded` [B, D, T] to each stream's tokens; `frames` count of T.

        Each round scores all frames against what was said last and goes to the next token of each stream
        (Bataev et al. 2024, label looping): as many rounds as the stream with most tokens needs.
        """
        projected = self._joint.project_encoder(encoded.transpose(1, 2))
        at = [stream.skip for stream in streams]
        symbols = [0] * len(streams)
        rows = [row for row, count in enumerate(frames) if at[row] < count]
        while rows:
            before = torch.cat([streams[row].output for row in rows])
            scores = self._joint.joint_after_projection(projected[rows], before)[:, :, 0].float()
            logp = scores[:, :, : self._blank + 1].log_softmax(2).cpu()
            best: list[list[int]] = logp.argmax(2).tolist()
            jumps = self._jumps(scores)
            said: list[tuple[int, int]] = []
            again: list[int] = []
            for index, row in enumerate(rows):
                stream = streams[row]
                fresh = stream.last + PAUSE_FRAMES - stream.frames
                pauses = self._begins_anew and stream.spoke
                until = min(frames[row], max(fresh, at[row])) if pauses else frames[row]
                t = self._next_token(best[index], jumps[index], at[row], until)
                if t >= until and until < frames[row]:
                    at[row], symbols[row] = t, 0
                    self._begin_anew(stream)
                    again.append(row)
                    continue
                symbols[row] = symbols[row] + 1 if t == at[row] else 1
                at[row] = t
                if t >= frames[row]:
                    continue
                token = self._choose(logp[index, t], stream.phrases)
                stream.tokens.append(Token(token, stream.frames + t, float(logp[index, t, token].exp())))
                stream.phrases.heard(token)
                stream.last, stream.spoke = stream.frames + t, True
                said.append((row, token))
                if self._durations:
                    at[row] += jumps[index][t]
                if at[row] == t and symbols[row] >= self._max_symbols:
                    at[row] += 1
                if at[row] > t:
                    symbols[row] = 0
            self._say(streams, said)
            rows = again + [row for row, _ in said if at[row] < frames[row]]
        for row, stream in enumerate(streams):
            stream.frames += frames[row]
            stream.skip = max(at[row] - frames[row], 0)

    def _begin_anew(self, stream: Decoding) -> None:
        stream.output, stream.hidden, stream.spoke = self._first, self._first_hidden, False
        stream.phrases.forget()

    def _next_token(self, best: list[int], jumps: list[int], at: int, frames: int) -> int:
        """The frame of the next token, or where the stream goes on after these frames."""
        while at < frames and best[at] == self._blank:
            at += max(jumps[at], 1) if self._durations else 1
        return at

    def _jumps(self, scores: torch.Tensor) -> list[list[int]]:
        """By how many frames each frame's choice goes on (TDT)."""
        if not self._durations:
            return [[] for _ in range(scores.size(0))]
        indices: list[list[int]] = scores[:, :, self._blank + 1 :].argmax(2).tolist()
        return [[self._durations[index] for index in row] for row in indices]

    def _choose(self, logp: torch.Tensor, phrases: Phrases) -> int:
        if not phrases:
            return int(logp.argmax())
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
