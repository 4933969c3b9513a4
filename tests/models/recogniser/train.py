"""Trains the tiny recogniser: `python -m tests.models.recogniser.train FOLDER [STEPS]`, in the speech
environment, FOLDER as `tests.models.recogniser.speech` filled it. Writes FOLDER/recogniser.nemo.

What made it learn: a first convolution in centred coordinates, a subsampling scaled by data, and 300 steps on
joined word clips whose ends are known; after them the transducer's own loss.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.models.recogniser.losses import path_loss, transducer_loss
from tests.models.recogniser.network import CentredConvolution, build, scale_by_data
from tests.models.recogniser.phrases import vocabulary
from tests.models.recogniser.speech import over_the_line

_WARM_UP = 300
_BATCH = 32
_PEAK = 2e-3
_FRAME = 1_280
"""Samples of one frame of the encoder: 80 ms."""
Samples = NDArray[np.float32]


@dataclass
class Clips:
    """What `speech.render` wrote."""

    samples: NDArray[np.int16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    texts: list[str]

    @classmethod
    def load(cls, file: Path) -> Clips:
        with np.load(file) as data:
            lengths = data["lengths"]
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            return cls(data["samples"], starts, lengths, [str(text) for text in data["texts"]])

    def __getitem__(self, index: int) -> Samples:
        start = self.starts[index]
        return self.samples[start : start + self.lengths[index]].astype(np.float32) / 32_768


@dataclass
class Heard:
    """One example: features [frames, mels], tokens, and the frame at which each has ended, if known."""

    features: NDArray[np.float16]
    tokens: list[int]
    ends: list[int]


def _seconds(choose: random.Random, low: float, high: float) -> Samples:
    return np.zeros(int(choose.uniform(low, high) * 16_000), np.float32)


class Examples:
    """Makes examples of clips: silence around them, over the line, as features."""

    def __init__(self, model: Any, seed: int) -> None:
        self._model = model
        self._ids = {word: model.tokenizer.text_to_ids(word)[0] for word in vocabulary()}
        self._choose = random.Random(seed)
        self._numbers = np.random.default_rng(seed)

    def of_sentence(self, samples: Samples, text: str) -> Heard:
        long_lead = self._choose.random() < 0.1
        lead = _seconds(self._choose, 1.0, 3.0) if long_lead else _seconds(self._choose, 0.0, 0.5)
        audio = np.concatenate([lead, samples, _seconds(self._choose, 0.2, 0.5)])
        return Heard(self._features(audio), [self._ids[word] for word in text.split()], [])

    def of_words(self, words: Clips, count: int) -> Heard:
        """Words of anybody, joined, with short pauses."""
        parts, tokens, ends = [_seconds(self._choose, 0.0, 0.5)], list[int](), list[int]()
        at = parts[0].size
        for _ in range(count):
            index = self._choose.randrange(len(words.texts))
            clip = words[index]
            at += clip.size
            tokens.append(self._ids[words.texts[index]])
            ends.append(at // _FRAME + 1)
            pause = _seconds(self._choose, 0.0, 0.12)
            parts += [clip, pause]
            at += pause.size
        parts.append(_seconds(self._choose, 0.2, 0.5))
        return Heard(self._features(np.concatenate(parts)), tokens, ends)

    def _features(self, audio: Samples) -> NDArray[np.float16]:
        line = over_the_line(audio, self._numbers)
        if self._choose.random() < 0.4:  # what comes before or after the speech may be digital silence
            line = np.concatenate([line, _seconds(self._choose, 0.1, 0.4)])
        if self._choose.random() < 0.2:
            line[: int(self._choose.uniform(0.02, 0.2) * 16_000)] = 0
        heard = torch.from_numpy(line)[None]
        with torch.no_grad():
            features, length = self._model.preprocessor(
                input_signal=heard, length=torch.tensor([heard.size(1)])
            )
        return features[0, :, : int(length[0])].T.numpy().astype(np.float16)


@dataclass
class Batch:
    features: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    tokens: torch.Tensor
    ends: torch.Tensor


def _batch(examples: list[Heard]) -> Batch:
    frames = [len(one.features) for one in examples]
    features = torch.zeros(len(examples), max(frames), examples[0].features.shape[1])
    targets = torch.zeros(len(examples), max(len(one.tokens) for one in examples), dtype=torch.long)
    ends = torch.full_like(targets, 100_000)
    for row, one in enumerate(examples):
        features[row, : frames[row]] = torch.from_numpy(one.features.astype(np.float32))
        targets[row, : len(one.tokens)] = torch.tensor(one.tokens)
        ends[row, : len(one.ends)] = torch.tensor(one.ends, dtype=torch.long)
    tokens = torch.tensor([len(one.tokens) for one in examples])
    return Batch(features.transpose(1, 2), torch.tensor(frames), targets, tokens, ends)


def _batches(examples: list[Heard], choose: random.Random) -> Iterator[Batch]:
    """Endless: of like lengths, in random order."""
    while True:
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].features) + choose.uniform(0, 40))
        groups = [order[at : at + _BATCH] for at in range(0, len(order) - _BATCH + 1, _BATCH)]
        choose.shuffle(groups)
        for group in groups:
            yield _batch([examples[i] for i in group])


def _hidden(features: torch.Tensor) -> torch.Tensor:
    """With a few stripes of time and of frequency hidden."""
    features = features.clone()
    for row in range(features.size(0)):
        low, width = random.randrange(36), random.randrange(6)
        features[row, low : low + width] = -10.0
        if random.random() < 0.5:
            at = random.randrange(features.size(2))
            features[row, :, at : at + random.randrange(12)] = -10.0
    return features


class Training:
    def __init__(self, model: Any, mean: float, deviation: float, steps: int) -> None:
        self.model = model
        first = next(layer for layer in model.encoder.pre_encode.conv if isinstance(layer, nn.Conv2d))
        model.centred_convolution = self.centred = CentredConvolution(first, mean, deviation)
        self._dense = nn.Linear(model.encoder.d_model, len(vocabulary()) + 2)
        parameters = [
            *(p for p in model.parameters() if p.requires_grad),
            self.centred.weight,
            self.centred.bias,
            *self._dense.parameters(),
        ]
        self._parameters = parameters
        self._optimizer = torch.optim.AdamW(parameters, lr=_PEAK, betas=(0.9, 0.98), weight_decay=1e-3)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, _PEAK, total_steps=steps + 1, pct_start=0.12, final_div_factor=200
        )
        self.blank = model.decoder.blank_idx

    def step(self, batch: Batch, *, known_ends: bool) -> float:
        encoded, frames = self.model.encoder(audio_signal=_hidden(batch.features), length=batch.lengths)
        predicted, _, _ = self.model.decoder(targets=batch.targets, target_length=batch.tokens)
        logits = self.model.joint.joint(encoded.transpose(1, 2), predicted.transpose(1, 2))
        ctc = self.model.ctc_decoder(encoder_output=encoded)
        if known_ends:
            ends = batch.ends.minimum(frames[:, None] + 10_000)
            loss = path_loss(logits, batch.targets, ends, frames, self.blank)
            loss = loss + self._frames_loss(ctc, self._dense(encoded.transpose(1, 2)), batch, frames)
        else:
            loss = transducer_loss(logits, batch.targets, frames, batch.tokens, self.blank)
            loss = loss + 0.3 * nn.functional.ctc_loss(
                ctc.transpose(0, 1), batch.targets, frames, batch.tokens, self.blank, zero_infinity=True
            )
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    def _frames_loss(
        self, ctc: torch.Tensor, dense: torch.Tensor, batch: Batch, frames: torch.Tensor
    ) -> torch.Tensor:
        """Each frame names the word that has just ended (CTC) and the word it lies in (an extra layer)."""
        time = torch.arange(ctc.size(1))
        counts = time[None] < frames[:, None]
        said_before = (batch.ends[:, None, :] < time[None, :, None]).sum(2)
        token = batch.targets.gather(1, said_before.clamp(max=batch.targets.size(1) - 1))
        at_end = (batch.ends[:, None, :] == time[None, :, None]).any(2)
        spoken = torch.where(said_before < batch.tokens[:, None], token, self.blank)
        wanted = torch.where(at_end, token, self.blank)
        weight = (torch.where(at_end, 1.0, 0.3) * counts).flatten()
        ended = nn.functional.nll_loss(ctc.flatten(0, 1), wanted.flatten(), reduction="none")
        lies = nn.functional.cross_entropy(dense.flatten(0, 1), spoken.flatten(), reduction="none")
        return (ended * weight).sum() / weight.sum() + 0.5 * (lies * counts.flatten()).sum() / counts.sum()


def greedy(model: Any, batch: Batch) -> list[list[int]]:
    """What the model hears: the tokens of each example."""
    with torch.no_grad():
        encoded, frames = model.encoder(audio_signal=batch.features, length=batch.lengths)
        texts: list[list[int]] = []
        blank = model.decoder.blank_idx
        for row in range(encoded.size(0)):
            said: list[int] = []
            output, state = model.decoder.predict(None, None, add_sos=False, batch_size=1)
            for t in range(int(frames[row])):
                for _ in range(3):
                    best = int(
                        model.joint.joint(
                            encoded[row : row + 1, :, t : t + 1].transpose(1, 2), output
                        ).argmax()
                    )
                    if best == blank:
                        break
                    said.append(best)
                    output, state = model.decoder.predict(torch.tensor([[best]]), state, add_sos=False)
            texts.append(said)
        return texts


def errors(heard: list[int], meant: list[int]) -> int:
    """Words to be changed, left out or put in."""
    row = list(range(len(meant) + 1))
    for i, word in enumerate(heard, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(meant, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def word_error_rate(model: Any, examples: list[Heard]) -> float:
    model.eval()
    wrong = total = 0
    for at in range(0, len(examples), _BATCH):
        part = examples[at : at + _BATCH]
        for heard, one in zip(greedy(model, _batch(part)), part, strict=True):
            wrong += errors(heard, one.tokens)
            total += len(one.tokens)
    model.train()
    return wrong / total


def main(folder: Path, steps: int) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(7)
    random.seed(7)
    model = build(vocabulary(), folder / "tokenizer")
    model.eval()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    words = Clips.load(folder / "words.npz")
    make = Examples(model, 11)
    choose = random.Random(5)
    joined = [make.of_words(words, choose.randint(2, 6)) for _ in range(1_800)]
    everything = np.concatenate([one.features for one in joined[:200]]).astype(np.float32)
    model.train()
    model.encoder.eval()
    training = Training(model, float(everything.mean()), float(everything.std()), steps)
    scale_by_data(model, *(lambda b: (b.features, b.lengths))(_batch(joined[:32])))
    model.encoder.train()
    began = time.process_time()
    source = _batches(joined, choose)
    for step in range(_WARM_UP):
        loss = training.step(next(source), known_ends=True)
        if step % 25 == 0:
            print(f"warm-up {step}: {loss:.3f}, {time.process_time() - began:.0f} CPU-s", flush=True)
    print(f"joined words wrong: {word_error_rate(model, joined[:64]):.3f}", flush=True)
    sentences = Clips.load(folder / "trained.npz")
    spoken = [make.of_sentence(sentences[i], sentences.texts[i]) for i in range(len(sentences.texts))]
    held = Clips.load(folder / "measured.npz")
    test = [make.of_sentence(held[i], held.texts[i]) for i in range(len(held.texts))]
    source = _batches(spoken + joined[:900], choose)
    for step in range(_WARM_UP, steps):
        loss = training.step(next(source), known_ends=False)
        if step % 25 == 0:
            print(f"{step}: {loss:.3f}, {time.process_time() - began:.0f} CPU-s", flush=True)
        if step % 200 == 199 or step == steps - 1:
            rate = word_error_rate(model, test)
            print(f"{step}: held-out words wrong {rate:.3f}", flush=True)
            torch.save({"model": model.state_dict(), "step": step}, folder / "checkpoint.pt")
            _save(model, training.centred, folder / "recogniser.nemo")


def _save(model: Any, centred: CentredConvolution, file: Path) -> None:
    own = centred._convolution
    centred.finish()
    model.save_to(str(file))
    centred.fold()
    assert own is not None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2_400)
