"""espeak-ng as a streaming voice: text in, 24 kHz audio out while the rest is still being made.

Each sentence is a process of its own, so that a cancelled one ends at once and no text can harm the next. The
text reaches espeak-ng on its standard input, never as an argument, and without the brackets by which it takes
phonemes.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import unicodedata
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Any

import numpy as np
import soxr
import structlog
from numpy.typing import NDArray

from appliance.errors import InvalidInput, Unavailable

_log = structlog.get_logger(__name__)

SAMPLE_RATE_HZ = 24_000
_ESPEAK_RATE_HZ = 22_050
_WORDS_PER_MINUTE = 165
_MAX_CHARACTERS = 5_000
_CHUNK_BYTES = _ESPEAK_RATE_HZ // 10 * 2
_WAV_HEADER_BYTES = 44
_SILENCE = 0.004
"""Below this amplitude a sample at the beginning is silence."""
_KEPT_LEAD_SAMPLES = 120
_TARGET_RMS = 0.1
_CEILING = 0.97
_CALIBRATION_TEXT = "The quick brown fox jumps over the lazy dog, one two three four five."
_UNSPEAKABLE = re.compile(r"[\[\]{}<>|\\^~_`*#]+")


def speakable(text: str) -> str:
    """The text without control characters, emoji, and what espeak-ng would take as a command."""
    kept = "".join(
        " " if unicodedata.category(sign)[0] == "C" or unicodedata.category(sign) in {"So", "Sk"} else sign
        for sign in text
    )
    kept = re.sub(r"\s+", " ", _UNSPEAKABLE.sub(" ", kept)).strip()
    return kept if any(sign.isalnum() for sign in kept) else ""


class Voice:
    """espeak-ng with its voices; `synthesize` may run many times at once."""

    def __init__(self, program: str = "espeak-ng") -> None:
        self._program = program
        self._gains: dict[str, float] = {}

    @cached_property
    def _known(self) -> frozenset[str]:
        listed = subprocess.run(
            [self._program, "--voices"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
        rows = [line.split() for line in listed.splitlines()[1:]]
        files = {
            row[4].split("/")[-1].lower() for row in rows if len(row) > 4 and not row[4].startswith("mb/")
        }
        return frozenset({row[1].lower() for row in rows if len(row) > 4} | files)

    def choose(self, voice: str, language: str) -> str:
        """espeak-ng's name for a voice such as `en-us+f3`, or for the language when no voice is wished.

        Raises InvalidInput for one that does not exist.
        """
        wished = (voice or language or "en").strip()
        base, _, variant = wished.lower().replace("_", "-").partition("+")
        if base in {"", "default"}:
            base = (language or "en").lower()
        if base not in self._known and base.split("-")[0] in self._known and not voice:
            base = base.split("-")[0]
        if base not in self._known or not re.fullmatch(r"([a-z]{1,12}\d{0,2})?", variant):
            raise InvalidInput(f"There is no voice {wished[:40]!r}.", field="VOICE")
        return f"{base}+{variant}" if variant else base

    async def synthesize(
        self, text: str, *, voice: str = "", language: str = "en", speed: float = 1.0
    ) -> AsyncGenerator[bytes, None]:
        """16-bit 24 kHz mono audio of the text in chunks of about 100 ms, without silence at its beginning.

        `speed` 1.0 is a calm telephone voice; 0.5 to 2.0. Nothing comes for a text without a word. Raises
        InvalidInput for what cannot be spoken.
        """
        if len(text) > _MAX_CHARACTERS:
            raise InvalidInput(f"A text has at most {_MAX_CHARACTERS} characters.", field="TEXT")
        if not 0.5 <= speed <= 2.0:
            raise InvalidInput("The speed is between 0.5 and 2.0.", field="SPEED")
        chosen = await asyncio.to_thread(self.choose, voice, language)
        said = speakable(text)
        if not said:
            return
        gain = await self._gain(chosen)
        shaper = _Shaper(gain)
        async for raw in self._raw(said, chosen, speed):
            shaped = shaper.take(raw)
            if shaped:
                yield shaped
        if rest := shaper.end():
            yield rest

    async def _raw(self, text: str, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """espeak-ng's own samples, 16-bit 22,050 Hz."""
        process = await asyncio.create_subprocess_exec(
            self._program,
            "-v",
            voice,
            "-s",
            str(round(_WORDS_PER_MINUTE * speed)),
            "-b",
            "1",
            "--stdin",
            "--stdout",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(text.encode("utf-8") + b"\n")
            process.stdin.close()
            await process.stdout.readexactly(_WAV_HEADER_BYTES)
            rest = b""
            while chunk := await process.stdout.read(_CHUNK_BYTES):
                samples = rest + chunk
                whole = len(samples) // 2 * 2
                rest = samples[whole:]
                yield samples[:whole]
            if await process.wait() != 0:
                raise Unavailable("espeak-ng failed.")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Unavailable("espeak-ng said nothing.") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _gain(self, voice: str) -> float:
        """What brings a voice to the common loudness; espeak-ng's voices differ by 10 dB."""
        if voice not in self._gains:
            pcm = b"".join([chunk async for chunk in self._raw(_CALIBRATION_TEXT, voice, 1.0)])
            samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
            loud = samples[np.abs(samples) > _SILENCE]
            rms = float(np.sqrt(np.mean(loud**2))) if loud.size else _TARGET_RMS
            self._gains[voice] = min(4.0, max(0.25, _TARGET_RMS / rms))
        return self._gains[voice]


class _Shaper:
    """Cuts the silence at the beginning, sets the loudness, resamples to 24 kHz."""

    def __init__(self, gain: float) -> None:
        self._gain = gain
        self._resampler: Any = soxr.ResampleStream(_ESPEAK_RATE_HZ, SAMPLE_RATE_HZ, 1, dtype="float32")
        self._begun = False

    def take(self, pcm: bytes) -> bytes:
        samples: NDArray[np.float32] = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)
        if not self._begun:
            loud = np.flatnonzero(np.abs(samples) > _SILENCE)
            if not loud.size:
                return b""
            samples = samples[max(0, int(loud[0]) - _KEPT_LEAD_SAMPLES) :]
            self._begun = True
        return self._shape(samples, last=False)

    def end(self) -> bytes:
        return self._shape(np.zeros(0, dtype=np.float32), last=True) if self._begun else b""

    def _shape(self, samples: NDArray[np.float32], *, last: bool) -> bytes:
        louder = samples * self._gain
        limited = np.where(np.abs(louder) > 0.5, np.sign(louder) * _limited(np.abs(louder)), louder)
        resampled = self._resampler.resample_chunk(limited.astype(np.float32), last=last)
        return (np.clip(resampled, -_CEILING, _CEILING) * 32767).astype("<i2").tobytes()


def _limited(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """A soft knee above half of full scale, so that a loud vowel does not crackle."""
    bent = 0.5 + (_CEILING - 0.5) * np.tanh((level - 0.5) / (_CEILING - 0.5))
    return bent.astype(np.float32)
