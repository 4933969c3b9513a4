"""Music on hold: a quiet broken chord, made here, so that no licence and no package is needed."""

from __future__ import annotations

import math
import struct
from pathlib import Path

SAMPLE_RATE_HZ = 16000
_NOTE_SECONDS = 0.5
_NOTES_HZ = (261.63, 329.63, 392.0, 523.25, 392.0, 329.63, 220.0, 261.63, 329.63, 440.0, 329.63, 261.63)
_AMPLITUDE = 3000


def write_hold_music(path: Path) -> None:
    """Writes 16-bit samples without a header (`.sln16`) unless the file is there."""
    if path.exists():
        return
    length = int(_NOTE_SECONDS * SAMPLE_RATE_HZ)
    samples = bytearray()
    for note in _NOTES_HZ:
        for index in range(length):
            second = index / SAMPLE_RATE_HZ
            swell = min(1.0, second / 0.02) * math.exp(-3.0 * second)
            wave = math.sin(2 * math.pi * note * second) + 0.3 * math.sin(4 * math.pi * note * second)
            samples += struct.pack("<h", int(_AMPLITUDE * swell * wave))
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(samples)
    fresh.replace(path)
