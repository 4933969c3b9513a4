"""The caller's voice: flite's (the agent speaks by espeak-ng), or a person's recording."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tempfile
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr

from appliance.errors import InvalidInput, Unavailable
from provisioning.caller.codecs import Samples

CALLER_VOICE = "slt"
"""A voice of flite, from a person's recordings: understood better than a formant voice."""
_SECOND_CHOICE = "en-us"
_TIMEOUT_SECONDS = 30
_LEVEL = 9000.0


async def say(text: str, rate_hz: int, *, voice: str = CALLER_VOICE) -> Samples:
    """The text spoken, at `rate_hz`, by a voice of flite, or by espeak-ng where flite is not installed.

    Unavailable without either.
    """
    return await asyncio.to_thread(_say, text, rate_hz, voice)


@lru_cache(maxsize=256)
def _say(text: str, rate_hz: int, voice: str) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        if program := shutil.which("flite"):
            command = [program, "-voice", voice, "-t", text, "-o", str(path)]
        elif program := shutil.which("espeak-ng"):
            command = [program, "-v", _SECOND_CHOICE, "-s", "150", "-w", str(path), "--", text]
        else:
            raise Unavailable("No voice for the caller is installed.", remedy="apt-get install flite")
        try:
            subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True)
            data = path.read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            raise Unavailable(f"The caller could not speak: {error}.") from error
    samples = _at_level(_read(data, "The caller's speech", rate_hz))
    samples.setflags(write=False)
    return samples


def read_recording(path: Path, rate_hz: int) -> Samples:
    """A mono 16-bit WAV of 8, 16 or more kHz, at `rate_hz`. InvalidInput for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"The recording {path} cannot be read.", remedy="Give the path of a WAV."
        ) from error
    return _read(data, str(path), rate_hz)


def _read(data: bytes, name: str, rate_hz: int) -> Samples:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if sound.getnchannels() != 1 or sound.getsampwidth() != 2:
                raise InvalidInput(
                    f"{name} is not mono with 16 bits.", remedy="Convert it: sox IN -c 1 -b 16 OUT.wav"
                )
            rate = sound.getframerate()
            raw = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise InvalidInput(
            f"{name} is no WAV: {error}.", remedy="Convert it: sox IN -c 1 -b 16 OUT.wav"
        ) from error
    if not 8000 <= rate <= 48000:
        raise InvalidInput(f"{name} has {rate} samples a second.", remedy="Give 8 or 16 kHz.")
    samples = np.frombuffer(raw[: len(raw) // 2 * 2], np.int16)
    if rate == rate_hz:
        return samples.copy()
    return np.asarray(soxr.resample(samples, rate, rate_hz, quality="HQ"), np.int16)


def _at_level(samples: Samples) -> Samples:
    """Speech at the level of a person near the telephone, so that detectors on the way see no whisper."""
    peak = float(np.percentile(np.abs(samples.astype(np.float64)), 99)) if len(samples) else 0.0
    if peak <= 0:
        return samples.copy()
    return np.clip(samples * (_LEVEL / peak), -32767, 32767).astype(np.int16)


def utterances(
    samples: Samples, rate_hz: int, *, pause_ms: int = 700, threshold_rms: float = 150.0
) -> list[Samples]:
    """Cuts a recording at its silences of `pause_ms` and more; 100 ms stay around each piece.

    InvalidInput when nobody speaks in it.
    """
    frame = rate_hz // 50
    count = len(samples) // frame
    blocks = samples[: count * frame].astype(np.float64).reshape(count, frame)
    voiced = np.flatnonzero(np.sqrt(np.mean(blocks**2, axis=1)) >= threshold_rms)
    if not len(voiced):
        raise InvalidInput("Nobody speaks in the recording.", remedy="Give one at a normal level.")
    groups = np.split(voiced, np.flatnonzero(np.diff(voiced) > pause_ms // 20) + 1)
    return [samples[max(0, int(group[0]) - 5) * frame : (int(group[-1]) + 6) * frame] for group in groups]
