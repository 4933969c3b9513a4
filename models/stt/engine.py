"""NeMo behind the recogniser: loads a proved `.nemo` file and moves streams on, many in one pass.

Everything of a stream lies in its own `Stream`; the model keeps nothing between two calls. One thread uses an
engine (models/stt/loop.py). NeMo's `transcribe()` is not used: it is not safe for threads.
"""

from __future__ import annotations

import copy
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from appliance.errors import InvalidInput
from models.opened import OpenedModel
from models.stt.engine_decoder import Decoding, GreedyTransducer
from models.stt.phrases import Phrases
from models.stt.protocol import SAMPLE_RATE_HZ, Piece

_MS = SAMPLE_RATE_HZ // 1_000
_MAX_BATCH = 32
_MAX_CHUNKS = 16
"""Chunks of one stream in one pass, when it lies behind."""
_TAIL_MS = 240
"""Silence that follows a segment, so that its last word is said."""
_MAX_PIECES = 1_000
"""Of a segment that is never flushed the beginning is forgotten: some minutes of talk stay."""
_OFFLINE_SECONDS = 30
"""A longer segment of an offline model is decoded in parts of this length."""
_SHORTEST_MS = 100
"""An offline model is not asked about less: there is no word in it, and nothing to normalise over."""


@dataclass(frozen=True)
class EngineFacts:
    """What reports show of the engine."""

    engine: str
    version: str
    model: str
    sha256: str
    languages: tuple[str, ...]


class Stream:
    """One stream: its audio that is not decoded yet, the encoder's caches, what was heard."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.flushing = False
        self._samples: NDArray[np.float32] = np.zeros(0, np.float32)
        self._base = 0
        self.total = 0
        """Samples of the segment."""
        self.frames = 0
        """Feature frames of the segment that the encoder has had."""
        self.before = 0
        """Samples of earlier segments."""
        self.caches: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self.last_features: torch.Tensor | None = None

    def hear(self, pcm: NDArray[np.int16]) -> None:
        self._samples = np.concatenate([self._samples, pcm.astype(np.float32) / np.float32(32_768)])
        self.total += pcm.size

    def cut(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples of the segment; what lies before `start` is needed no more."""
        self._samples = self._samples[start - self._base :]
        self._base = start
        return self._samples[: stop - start]

    @property
    def held(self) -> int:
        """Samples that are kept: those that wait, and a few of the past."""
        return self._samples.size

    @property
    def audio_ms(self) -> int:
        return (self.before + self.total) // _MS

    def fork(self) -> Stream:
        """A copy that goes on by itself; arrays and tensors are replaced and never written to."""
        fork = copy.copy(self)
        fork.decoding = self.decoding.fork()
        return fork

    def begin_segment(self, decoding: Decoding) -> None:
        self.before += self.total
        self.decoding = decoding
        self.flushing = False
        self._samples, self._base = np.zeros(0, np.float32), 0
        self.total = self.frames = 0
        self.caches = self.last_features = None


class NemoEngine:
    """A transducer of NeMo on one device. Not safe for threads; see `models/stt/loop.py`."""

    def __init__(self, model: Any, facts: EngineFacts, *, streaming: bool, device: str) -> None:
        self.facts = facts
        self.streaming = streaming
        self._model = model.eval().to(device)
        self._device = torch.device(device)
        self._features = model.preprocessor.featurizer
        self._features.dither, self._features.pad_to = 0.0, 0
        self._hop, self._window = int(self._features.hop_length), int(self._features.n_fft)
        self._greedy = GreedyTransducer(model, begins_anew=streaming)
        encoder = model.encoder
        self._frame_ms = int(self._hop * encoder.subsampling_factor / _MS)
        self._tail = np.zeros(_TAIL_MS * _MS, np.int16)
        if streaming:
            if model.cfg.preprocessor.get("normalize") not in {None, "NA", "None", ""}:
                raise InvalidInput(
                    f"{facts.model} normalises over the whole utterance, so it cannot be streamed.",
                    remedy="Serve it as offline-segment.",
                )
            encoder.setup_streaming_params()
            settings = encoder.streaming_cfg
            self._first, self._chunk = settings.shift_size
            self._kept = settings.pre_encode_cache_size[1]
            self._dropped = settings.drop_extra_pre_encoded

    @classmethod
    def load(cls, opened: OpenedModel, device: str = "cpu", *, threads: int = 1) -> NemoEngine:
        """Loads a model whose files are proved. InvalidInput for one that NeMo cannot restore."""
        from nemo.collections.asr.models import ASRModel  # pyright: ignore[reportMissingImports]
        from nemo.utils import logging  # pyright: ignore[reportMissingImports]

        logging.setLevel(logging.ERROR)
        torch.set_num_threads(threads)
        try:
            model: Any = ASRModel.restore_from(str(opened.paths[0]), map_location=device)
        except (RuntimeError, OSError, KeyError, ValueError, TypeError, EOFError) as error:
            raise InvalidInput(
                f"NeMo cannot load {opened.name}: {type(error).__name__}.",
                remedy="Add the weights again from their source.",
                code="model_refused",
            ) from error
        facts = EngineFacts(
            "nemo",
            importlib.metadata.version("nemo-toolkit"),
            opened.name,
            opened.sha256,
            tuple(opened.profile.languages),
        )
        with torch.inference_mode():
            return cls(model, facts, streaming=opened.kind == "nemo-streaming", device=device)

    def language_of(self, wished: str) -> str:
        """The language that is recognised. InvalidInput for one that the model does not know."""
        base = wished.lower().replace("_", "-").split("-")[0] or self.facts.languages[0]
        if base not in self.facts.languages:
            known = ", ".join(self.facts.languages)
            raise InvalidInput(f"{self.facts.model} knows {known}, not {wished[:20]!r}.", field="language")
        return base

    def open(self, phrases: Sequence[str] = ()) -> Stream:
        """A new stream. Phrases with a part that the model cannot write are left out."""
        known: list[list[int]] = []
        for phrase in phrases:
            ids = [int(token) for token in self._model.tokenizer.text_to_ids(phrase.lower())]
            pieces: list[str] = self._model.tokenizer.ids_to_tokens(ids)
            if ids and not any("unk" in piece or "\u2047" in piece for piece in pieces):
                known.append(ids)
        return Stream(self._greedy.begin(Phrases(known)))

    def begin_segment(self, stream: Stream) -> None:
        """The segment is over and told; the stream goes on with nothing heard."""
        stream.begin_segment(self._greedy.begin(stream.decoding.phrases))

    def has_work(self, stream: Stream) -> bool:
        return stream.flushing or self._ready_chunks(stream) > 0

    def pieces(self, stream: Stream) -> list[Piece]:
        """What was heard in the segment; times count from the stream's first sample."""
        tokens = stream.decoding.tokens
        texts: list[str] = self._model.tokenizer.ids_to_tokens([token.id for token in tokens])
        began, last = stream.before // _MS, stream.audio_ms
        return [
            Piece(text, min(began + (token.frame + 1) * self._frame_ms, last), token.confidence)
            for text, token in zip(texts, tokens, strict=True)
        ]

    def preflight(self, stream: Stream) -> list[Piece]:
        """What would be heard if the segment ended here; the stream is as it was."""
        with torch.inference_mode():
            fork = stream.fork()
            self._finish([fork])
        return self.pieces(fork)

    def step(self, streams: Sequence[Stream]) -> list[Stream]:
        """Moves one group of streams on by one pass, and tells which. Those that flush go first: their
        segment is then decoded to its end, and `flushing` is unset."""
        # Of this thread, whichever it is: else the states of a stream keep all that they were computed from.
        with torch.inference_mode():
            return self._step(streams)

    def _step(self, streams: Sequence[Stream]) -> list[Stream]:
        flushing = [stream for stream in streams if stream.flushing]
        behind = [stream for stream in flushing if self._ready_chunks(stream) > _MAX_CHUNKS]
        if flushing and not behind:
            alike = [s for s in flushing if (s.caches is None) == (flushing[0].caches is None)][:_MAX_BATCH]
            self._finish(alike)
            return alike
        waiting = behind or [stream for stream in streams if self._ready_chunks(stream)]
        if not waiting:
            return []
        if not self.streaming:
            self._offline(waiting[:1], final=False)
            return waiting[:1]
        kind = self._kind(waiting[0])
        group = [stream for stream in waiting if self._kind(stream) == kind][:_MAX_BATCH]
        self._advance(group, kind[1])
        return group

    def _ready_chunks(self, stream: Stream) -> int:
        if not self.streaming:
            return int(stream.total - stream.frames >= _OFFLINE_SECONDS * SAMPLE_RATE_HZ)
        frames = max((stream.total - self._window // 2) // self._hop + 1, 0) - stream.frames
        if stream.caches is None:
            return int(frames >= self._first)
        return frames // self._chunk

    def _kind(self, stream: Stream) -> tuple[bool, int]:
        """Streams of one kind can be put into one pass: begun or not, and by how many frames they go on."""
        if stream.caches is None:
            return False, self._first
        return True, self._chunk * min(self._ready_chunks(stream), _MAX_CHUNKS)

    def _advance(self, group: list[Stream], frames: int) -> None:
        starts = [max(self._hop * (stream.frames - 2), 0) for stream in group]
        stops = [self._hop * (stream.frames + frames - 1) + self._window // 2 for stream in group]
        cut = [s.cut(start, stop) for s, start, stop in zip(group, starts, stops, strict=True)]
        self._encode(group, cut, [frames] * len(group))

    def _finish(self, group: list[Stream]) -> None:
        """The rest of each segment, and a little silence after it."""
        if self.streaming:
            cut: list[NDArray[np.float32]] = []
            counts: list[int] = []
            for stream in group:
                told = stream.total
                stream.hear(self._tail)
                counts.append(stream.total // self._hop - stream.frames)
                cut.append(stream.cut(max(self._hop * (stream.frames - 2), 0), stream.total))
                stream.total = told
            self._encode(group, cut, counts)
        else:
            self._offline([stream for stream in group if stream.total], final=True)
        for stream in group:
            stream.flushing = False

    def _encode(self, group: list[Stream], audio: list[NDArray[np.float32]], counts: list[int]) -> None:
        """Features, encoder and decoder for the same step of each stream of the group."""
        begun = group[0].caches is not None
        lead = 2 if begun else 0
        features = self._extract(audio)[:, :, lead : lead + max(counts)]
        lengths = torch.tensor(counts, device=self._device)
        if begun:
            kept = torch.stack([stream.last_features for stream in group])  # type: ignore[arg-type]
            features = torch.cat([kept, features], 2)
            lengths = lengths + self._kept
        caches = [stream.caches or self._no_caches() for stream in group]
        encoded, frames, channel, time, length = self._model.encoder.cache_aware_stream_step(
            processed_signal=features,
            processed_signal_length=lengths,
            cache_last_channel=torch.cat([cache[0] for cache in caches], 1),
            cache_last_time=torch.cat([cache[1] for cache in caches], 1),
            cache_last_channel_len=torch.cat([cache[2] for cache in caches]),
            keep_all_outputs=True,
            drop_extra_pre_encoded=self._dropped if begun else 0,
        )
        self._greedy.decode([stream.decoding for stream in group], encoded, frames.tolist())
        for at, stream in enumerate(group):
            stream.frames += counts[at]
            stream.caches = (channel[:, at : at + 1], time[:, at : at + 1], length[at : at + 1])
            stream.last_features = features[at, :, -self._kept :]
            del stream.decoding.tokens[:-_MAX_PIECES]

    def _no_caches(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._model.encoder.get_initial_cache_state(batch_size=1, device=self._device)

    def _extract(self, audio: list[NDArray[np.float32]]) -> torch.Tensor:
        size = max(part.size for part in audio)
        padded = np.zeros((len(audio), size), np.float32)
        for row, part in enumerate(audio):
            padded[row, : part.size] = part
        lengths = torch.tensor([part.size for part in audio], device=self._device)
        features, _ = self._features(torch.from_numpy(padded).to(self._device), lengths)
        return features

    def _offline(self, group: list[Stream], *, final: bool) -> None:
        """Decodes whole segments; of one that is too long its first part."""
        most = _OFFLINE_SECONDS * SAMPLE_RATE_HZ
        for stream in group:
            while stream.total - stream.frames > (0 if final else most - 1):
                stop = min(stream.frames + most, stream.total)
                audio = stream.cut(stream.frames, stop)
                stream.frames = stop
                if audio.size < _SHORTEST_MS * _MS:
                    continue
                features = self._extract([audio])
                length = torch.tensor([max(audio.size // self._hop, 1)], device=self._device)
                encoded, frames = self._model.encoder(audio_signal=features, length=length)
                self._greedy.decode([stream.decoding], encoded, frames.tolist())
                del stream.decoding.tokens[:-_MAX_PIECES]
