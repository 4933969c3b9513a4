"""Makes `models/lite/acoustics`: `python -m models.lite.adapt WIDE_BAND_FOLDER` (a few minutes).

1. `telephone_band.npy`: a ridge regression from the mel energies that the telephone lets through to all of
   them, from wide-band speech (16 kHz mono WAVs: people of other languages, as in Debian's
   asterisk-core-sounds-{fr,it,ru}-g722 decoded, and espeak-ng) and the same speech through the telephone.
2. `means`: the means of the packaged acoustic model, moved (maximum a posteriori) towards espeak-ng's voices
   saying sentences of the vocabulary through the telephone, each frame assigned to its phone by alignment.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
import soxr
from numpy.typing import NDArray

from models.lite import features
from models.lite.pronouncing import ACOUSTIC_MODEL, ADAPTED, dictionary
from models.lite.telephone import recording, spoken, through_telephone
from models.lite.vocabulary import Vocabulary, load_vocabulary

Floats = NDArray[np.float64]

_VOICES = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-us+f3", "en-us+f2", "en-gb+m3", "en-us+m3")
_SPEEDS = (130, 150, 165, 180)
_SENTENCES = 420
_RIDGE = 10.0
_PRIOR_FRAMES = 20.0
_CODEBOOKS = 42


def regression(sounds: list[tuple[Floats, int]]) -> Floats:
    """The regression's weights from wide-band sounds (samples and rate)."""
    inputs: list[Floats] = []
    outputs: list[Floats] = []
    for samples, rate_hz in sounds:
        wide = soxr.resample(samples, rate_hz, features.SAMPLE_RATE_HZ)[: 6 * features.SAMPLE_RATE_HZ]
        pause = np.zeros(3_200)
        pcm = (np.clip(np.concatenate([pause, wide, pause]), -1, 1) * 32767).astype("<i2").tobytes()
        full = features.log_mel(pcm)
        narrow = features.log_mel(through_telephone(wide, features.SAMPLE_RATE_HZ, pause_seconds=0.2))
        count = min(len(full), len(narrow))
        low = features.normalized(narrow[:count])[:, features.telephone_filters()]
        inputs.append(features.with_context(low))
        outputs.append(features.normalized(full[:count]))
    given, wanted = np.vstack(inputs), np.vstack(outputs)
    weights: Floats = np.linalg.solve(
        given.T @ given + _RIDGE * np.eye(given.shape[1]), given.T @ wanted
    ).astype(np.float64)
    return weights


def read_gaussians(path: Path) -> Floats:
    """A `means` or `variances` file of Sphinx (s3): `[codebooks, streams, densities, dimensions]`."""
    raw = path.read_bytes()
    start = raw.index(b"endhdr\n") + 7
    codebooks, streams, densities = struct.unpack_from("<3i", raw, start + 4)
    lengths = struct.unpack_from(f"<{streams}i", raw, start + 16)
    values = np.frombuffer(raw, "<f4", codebooks * streams * densities * lengths[0], start + 20 + 4 * streams)
    return values.reshape(codebooks, streams, densities, lengths[0]).astype(np.float64)


def write_gaussians(path: Path, values: Floats) -> None:
    """The counterpart of `read_gaussians`, without a checksum."""
    codebooks, streams, densities, dimensions = values.shape
    head = struct.pack("<I3i", 0x11223344, codebooks, streams, densities)
    lengths = struct.pack(f"<{streams}i", *[dimensions] * streams) + struct.pack("<i", values.size)
    path.write_bytes(b"s3\nversion 1.0\nendhdr\n" + head + lengths + values.astype("<f4").tobytes())


def phones() -> list[str]:
    """The model's phones in the order of its codebooks, from the binary `mdef`."""
    raw = (ACOUSTIC_MODEL / "mdef").read_bytes()
    return [name.decode() for name in raw[raw.index(b"+NSN+\0") :].split(b"\0", _CODEBOOKS)[:_CODEBOOKS]]


def with_differences(cepstra: NDArray[np.float32]) -> Floats:
    """`[frames, 3, 13]`: cepstra, first and second differences (`1s_c_d_dd`)."""
    padded = np.pad(cepstra.astype(np.float64), ((3, 3), (0, 0)), mode="edge")
    count = len(cepstra)

    def at(shift: int) -> Floats:
        return padded[3 + shift : 3 + shift + count]

    return np.stack([at(0), at(2) - at(-2), (at(3) - at(-1)) - (at(1) - at(-3))], axis=1)


def aligner(vocabulary: Vocabulary) -> pocketsphinx.Decoder:
    """A decoder of the packaged model that knows the vocabulary's words."""
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.dict"
        words.write_text(dictionary(vocabulary, vocabulary.words), encoding="utf-8")
        return pocketsphinx.Decoder(
            hmm=str(ACOUSTIC_MODEL),
            featparams=str(ADAPTED / "feat.params"),
            dict=str(words),
            lm=None,
            loglevel="FATAL",
        )


def aligned(decoder: pocketsphinx.Decoder, cepstra: NDArray[np.float32], text: str) -> NDArray[np.int64]:
    """The phone of each frame, -1 where unknown."""
    for prepare in (lambda: decoder.set_align_text(text), decoder.set_alignment):
        prepare()
        decoder.start_utt()
        decoder.process_cep(cepstra.tobytes(), False, True)
        decoder.end_utt()
    order = {name: index for index, name in enumerate(phones())}
    labels = np.full(len(cepstra), -1)
    alignment: Any = decoder.get_alignment()
    for word in alignment:
        for phone in word:
            labels[phone.start : phone.start + phone.duration] = order[phone.name]
    return labels


def adapted_means(means: Floats, variances: Floats, frames: Floats, labels: NDArray[np.int64]) -> Floats:
    """Means moved towards the frames of their phone; a mean without frames stays."""
    moved = means.copy()
    for phone in set(labels.tolist()) - {-1}:
        mine = frames[labels == phone]
        for stream in range(means.shape[1]):
            mean, variance = means[phone, stream], np.maximum(variances[phone, stream], 1e-4)
            distance = ((mine[:, stream, None, :] - mean) ** 2 / variance).sum(axis=2)
            likelihood = -0.5 * (distance + np.log(variance).sum(axis=1))
            share = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            seen = share.sum(axis=0)[:, None]
            moved[phone, stream] = (share.T @ mine[:, stream] + _PRIOR_FRAMES * mean) / (seen + _PRIOR_FRAMES)
    return moved


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wide_band", type=Path, help="folder of 16 kHz mono WAV files of people")
    chosen = parser.parse_args()
    chance = random.Random(9)  # noqa: S311  # repeatable, not secret
    vocabulary = load_vocabulary("en")
    lines = [chance.choice(vocabulary.sentences) for _ in range(_SENTENCES)]
    sounds = [recording(path) for path in sorted(chosen.wide_band.rglob("*.wav"))]
    sounds += [spoken(line, chance.choice(_VOICES)) for line in lines[:60]]
    np.save(features.REGRESSION_FILE, regression(sounds).astype(np.float32))
    decoder = aligner(vocabulary)
    frames: list[Floats] = []
    labels: list[NDArray[np.int64]] = []
    for line in lines:
        said = spoken(line, chance.choice(_VOICES), chance.choice(_SPEEDS))
        cepstra = features.cepstra(through_telephone(*said))
        try:
            labels.append(aligned(decoder, cepstra, line))
        except RuntimeError:
            continue  # a sentence that cannot be aligned teaches nothing
        frames.append(with_differences(cepstra))
    means, variances = read_gaussians(ACOUSTIC_MODEL / "means"), read_gaussians(ACOUSTIC_MODEL / "variances")
    moved = adapted_means(means, variances, np.concatenate(frames), np.concatenate(labels))
    write_gaussians(ADAPTED / "means", moved)


if __name__ == "__main__":
    main()
