"""Makes `models/lite/acoustics`: `python -m models.lite.adapt FOLDER` (some minutes; needs flite).

FOLDER has wide-band recordings of people, `*.g722`: the sounds of Debian's packages
asterisk-core-sounds-{fr,it,ru}-g722, unpacked, a folder each. No English recording is used, and none of the
person that `models/lite/evaluate.py` measures.

1. `telephone.npz`: the usual spectral shape of speech, and a ridge regression from the mel energies that the
   telephone lets through to all of them; from people, flite's and espeak-ng's voices and the same speech
   through the telephone.
2. `means`: the means of the packaged acoustic model, moved (maximum a posteriori) towards flite's voices
   (which are made of recorded speech), also with the vocal tract made longer and shorter, and towards
   espeak-ng's, saying sentences and words of the vocabulary. Frames are aligned in the wide band, where the
   packaged model is at home, and learned as the telephone makes them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from models.lite import features
from models.lite.acoustic_model import AcousticModel, Floats, write_gaussians
from models.lite.features import Telephone
from models.lite.pronouncing import ADAPTED, pronunciations
from models.lite.short_phrases import best_path
from models.lite.telephone import Samples, spoken, spoken_by_flite, through_telephone
from models.lite.vocabulary import Vocabulary, load_vocabulary

_RATE_HZ = features.SAMPLE_RATE_HZ
_FLITE = ("slt", "rms", "awb", "kal16")
_ESPEAK = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-us+f3", "en-us+f2", "en-gb+m3", "en-us+m3")
_STRETCHES = (0.88, 1.0, 1.12)
_SPEEDS = (130, 150, 165, 180)
_SENTENCES_EACH, _PAIRS_EACH = 25, 35
_ESPEAK_LINES = 240
_PEOPLE_EACH = 40
_LONGEST_SECONDS = 6
_RIDGE = 10.0
_PRIOR_FRAMES = 20.0
_ROUNDS = 2


@dataclass(frozen=True)
class Said:
    """Mel energies of the same speech in both bands; `text` where it is known."""

    text: str
    wide: Floats
    narrow: Floats


def said(text: str, samples: Samples, rate_hz: int) -> Said:
    """Both analyses, of the same length."""
    wide = soxr.resample(samples, rate_hz, _RATE_HZ)[: _LONGEST_SECONDS * _RATE_HZ]
    pause = np.zeros(_RATE_HZ // 5)
    pcm = (np.clip(np.concatenate([pause, wide, pause]), -1, 1) * 32767).astype("<i2").tobytes()
    full = features.log_mel(pcm)
    narrow = features.log_mel(through_telephone(wide, _RATE_HZ, pause_seconds=0.2))
    count = min(len(full), len(narrow))
    return Said(text, full[:count], narrow[:count])


def people(folder: Path, chance: random.Random) -> Iterator[Said]:
    """Recorded sentences of 2 to 5 seconds, as many of each person (each folder of sounds)."""
    by_person: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.g722")):
        if 16_000 <= path.stat().st_size <= 40_000 and "silence" not in path.parts:
            by_person.setdefault(path.relative_to(folder).parents[-2], []).append(path)
    for paths in by_person.values():
        for path in chance.sample(paths, min(_PEOPLE_EACH, len(paths))):
            with av.open(str(path), format="g722") as sound:
                samples = np.concatenate([frame.to_ndarray().ravel() for frame in sound.decode(audio=0)])
            yield said("", samples.astype(np.float64) / 32768, _RATE_HZ)


def voices(vocabulary: Vocabulary, chance: random.Random) -> Iterator[Said]:
    """Sentences of the vocabulary, and pairs of short phrases, in flite's and espeak-ng's voices."""

    def line(pairs: bool) -> str:
        if pairs:
            return " ".join(phrase.text for phrase in chance.sample(vocabulary.short, 2))
        return chance.choice(vocabulary.sentences)

    for voice in _FLITE:
        for stretch in _STRETCHES:
            for pairs in [False] * _SENTENCES_EACH + [True] * _PAIRS_EACH:
                text = line(pairs)
                samples, rate_hz = spoken_by_flite(text, voice)
                yield said(text, samples, round(rate_hz * stretch))
    for number in range(_ESPEAK_LINES):
        text = line(pairs=number % 2 == 1)
        yield said(text, *spoken(text, chance.choice(_ESPEAK), chance.choice(_SPEEDS)))


def known_telephone(speech: list[Said]) -> Telephone:
    """The usual shapes and the regression's weights."""
    narrow_shape = np.mean([features.spectral_shape(each.narrow) for each in speech], axis=0)
    wide_shape = np.mean([features.spectral_shape(each.wide) for each in speech], axis=0)
    given = np.vstack(
        [
            features.with_context(
                features.normalized(each.narrow, narrow_shape)[:, features.telephone_filters()]
            )
            for each in speech
        ]
    )
    wanted = np.vstack([features.normalized(each.wide, wide_shape) for each in speech])
    weights = np.linalg.solve(given.T @ given + _RIDGE * np.eye(given.shape[1]), given.T @ wanted)
    return Telephone(narrow_shape, wide_shape, weights.astype(np.float64))


def aligned(model: AcousticModel, vocabulary: Vocabulary, text: str, frames: Floats) -> NDArray[np.int64]:
    """The state of each frame of a text, -1 for silence. KeyError for a word that nobody can pronounce."""
    words: list[list[str]] = []
    for word in text.split():
        ways = pronunciations(vocabulary, word)
        if not ways:
            raise KeyError(word)
        words.append(ways[0].split())
    silence = model.silence[1]
    chain = [silence]
    spoken_here = [False]
    for states in model.states_of(words):
        chain += [*states, silence]
        spoken_here += [*[True] * len(states), False]
    unique = np.unique(chain)
    scores = model.log_likelihood(frames, unique)[:, np.searchsorted(unique, chain)]
    path = best_path(scores, ~np.array(spoken_here))
    return np.where(np.array(spoken_here)[path], np.array(chain)[path], -1)


def adapted_means(model: AcousticModel, frames: Floats, states: NDArray[np.int64]) -> Floats:
    """Means moved towards the frames of their phone; a mean without frames stays."""
    given = model.means.copy()
    codebooks = model.codebooks(states)
    current = AcousticModel(given.copy())
    for _ in range(_ROUNDS):
        moved = current.means.copy()
        for codebook in np.unique(codebooks):
            mine = codebooks == codebook
            for stream in range(given.shape[1]):
                seen = frames[mine, stream]
                likelihood = current.distances(seen, int(codebook), stream)
                likelihood += current.weights(stream, states[mine]).T
                share = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
                share /= share.sum(axis=1, keepdims=True)
                prior = _PRIOR_FRAMES * given[codebook, stream]
                moved[codebook, stream] = (share.T @ seen + prior) / (
                    share.sum(axis=0)[:, None] + _PRIOR_FRAMES
                )
        current.means = moved
    return current.means


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("people", type=Path, help="folder of wide-band recordings (*.g722)")
    chosen = parser.parse_args()
    chance = random.Random(9)  # noqa: S311  # repeatable, not secret
    vocabulary = load_vocabulary("en")
    lines = list(voices(vocabulary, chance))
    known = known_telephone([*people(chosen.people, chance), *lines])
    model = AcousticModel()
    frames: list[Floats] = []
    states: list[NDArray[np.int64]] = []
    for line in lines:
        wide = features.to_cepstra(features.normalized(line.wide, known.wide_shape))
        try:
            found = aligned(model, vocabulary, line.text, features.with_differences(wide))
        except KeyError:
            continue
        heard = features.with_differences(features.analysed(line.narrow, known).cepstra)
        frames.append(heard[found >= 0])
        states.append(found[found >= 0])
    means = adapted_means(model, np.concatenate(frames), np.concatenate(states))
    np.savez(
        features.TELEPHONE_FILE,
        narrow_shape=known.narrow_shape.astype(np.float32),
        wide_shape=known.wide_shape.astype(np.float32),
        weights=known.weights.astype(np.float32),
    )
    write_gaussians(ADAPTED / "means", means)


if __name__ == "__main__":
    main()
