"""Speech for the tiny recogniser: espeak-ng and flite in many voices, as a telephone line carries it.

`python -m tests.models.recogniser.speech FOLDER` renders what is trained on and what is measured with.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.models.recogniser.phrases import sentences, vocabulary

RATE_HZ = 16_000
_TIMEOUT_SECONDS = 60
_ESPEAK = tuple(
    f"{accent}{variant}"
    for accent in ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland")
    for variant in ("", "+m1", "+m2", "+m3", "+m7", "+f1", "+f2", "+f4", "+f5")
)
_FLITE = ("slt", "slt", "slt", "kal16", "awb")
HELD_OUT_VOICES = ("en-us+f3", "en-gb+m4", "en-us+m5", "flite:rms")
"""No word of these is trained on."""


@dataclass(frozen=True)
class Spoken:
    """A sentence as somebody says it."""

    text: str
    voice: str
    speed: float
    """1.0 is the voice's ordinary speed."""
    pitch: int = 50
    """Of espeak-ng: 0 to 99."""


def speak(said: Spoken) -> NDArray[np.float32]:
    """The samples at 16 kHz, at most 1.0, without silence around them."""
    if said.voice.startswith("flite:"):
        command = ["flite", "-voice", said.voice[6:], "--setf", f"duration_stretch={1 / said.speed:.3f}"]
        command += ["-t", said.text, "-o", "/dev/stdout"]
    else:
        command = ["espeak-ng", "-v", said.voice, "-s", str(round(150 * said.speed)), "-p", str(said.pitch)]
        command += ["--stdout", "--", said.text]
    data = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True).stdout
    with wave.open(io.BytesIO(data)) as sound:
        rate = sound.getframerate()
        raw = sound.readframes(sound.getnframes())
    samples = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float32) / 32_768
    samples = soxr.resample(samples, rate, RATE_HZ) if rate != RATE_HZ else samples
    loud = np.flatnonzero(np.abs(samples) > 0.01 * max(float(np.abs(samples).max()), 1e-6))
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples


def trained(count: int, seed: int = 1) -> list[Spoken]:
    """What is trained on."""
    choose = random.Random(seed)
    return [_by_somebody(text, choose) for text in sentences(count, seed, held_out=False)]


def words_alone(each: int, seed: int = 2) -> list[Spoken]:
    """Each word of the vocabulary, alone, by so many voices: their ends are known when they are joined."""
    choose = random.Random(seed)
    return [_by_somebody(word, choose) for word in vocabulary() for _ in range(each)]


def measured(count: int, seed: int = 3, *, voices: tuple[str, ...] = HELD_OUT_VOICES) -> list[Spoken]:
    """Sentences that were never trained on, by the given voices in turn."""
    texts = sentences(count, seed, held_out=True)
    return [Spoken(text, voices[index % len(voices)], 1.0) for index, text in enumerate(texts)]


def _by_somebody(text: str, choose: random.Random) -> Spoken:
    speed = choose.uniform(0.85, 1.2)
    if choose.random() < 0.4:
        return Spoken(text, f"flite:{choose.choice(_FLITE)}", speed)
    return Spoken(text, choose.choice(_ESPEAK), speed, choose.randint(35, 65))


def over_the_line(samples: NDArray[np.float32], choose: np.random.Generator) -> NDArray[np.float32]:
    """As it arrives: other loudness, noise, and mostly the band of a telephone (G.711, or wideband)."""
    level = 10 ** choose.uniform(-1.7, -0.6)
    heard = samples * (level / max(float(np.sqrt(np.mean(samples**2))), 1e-5))
    noise = choose.standard_normal(heard.size).astype(np.float32)
    if choose.random() < 0.5:
        noise = np.convolve(noise, np.ones(8, np.float32) / 3, "same")
    heard = heard + noise * level * 10 ** choose.uniform(-2.6, -0.9)
    heard = np.clip(heard, -1, 1)
    if choose.random() < 0.45:
        heard = _narrow(heard, choose)
    return heard.astype(np.float32)


def _narrow(samples: NDArray[np.float32], choose: np.random.Generator) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    low, high = choose.uniform(80, 300), choose.uniform(3_300, 3_800)
    spectrum *= (1 / (1 + (low / np.maximum(hertz, 1)) ** 6)) * (1 / (1 + (hertz / high) ** 24))
    filtered = np.fft.irfft(spectrum, samples.size)
    pressed = np.sign(filtered) * np.log1p(255 * np.abs(np.clip(filtered, -1, 1))) / np.log(256)
    steps = np.round(pressed * 127) / 127
    return (np.sign(steps) * (256 ** np.abs(steps) - 1) / 255).astype(np.float32)


def render(said: list[Spoken], file: Path) -> None:
    """Writes the samples of all of them into one file: int16, one after the other, and their texts."""
    with ThreadPoolExecutor(2) as pool:
        audio = [np.round(samples * 32_000).astype(np.int16) for samples in pool.map(_safe, said)]
    kept = [(one, samples) for one, samples in zip(said, audio, strict=True) if samples.size > 800]
    np.savez(
        file,
        samples=np.concatenate([samples for _, samples in kept]),
        lengths=np.array([samples.size for _, samples in kept]),
        texts=np.array([one.text for one, _ in kept]),
        voices=np.array([one.voice for one, _ in kept]),
    )


def _safe(said: Spoken) -> NDArray[np.float32]:
    samples = speak(said)
    return samples * (0.9 / max(float(np.abs(samples).max()), 1e-3)) if samples.size else samples


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    render(words_alone(14), folder / "words.npz")
    render(measured(120), folder / "measured.npz")
    render(measured(60, 4, voices=("flite:slt", "en-us+m3", "en-gb+f2")), folder / "known_voices.npz")
    render(trained(4_500), folder / "trained.npz")


if __name__ == "__main__":
    main()
