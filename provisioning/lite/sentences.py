"""The box's own sentences: what a caller hears when the part that would have spoken is lost.

espeak-ng renders each into `<sentences_dir>/<language>/<key>.wav` (16 kHz, mono, 16 bit) for the bridge, and
the same samples into `<language>/gateway/<key>.sln16` for the gateway, which takes a `.wav` to be 8 kHz.
`python -m provisioning.lite.sentences DIRECTORY [LANGUAGE ...]`.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import wave
from collections.abc import Iterable
from pathlib import Path

SAMPLE_RATE_HZ = 16000
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "one_moment": "One moment, please.",
        "cannot_continue": "I am sorry, I cannot continue this call. Please call again later.",
        "all_lines_busy": "All lines are busy at the moment. Please call again in a few minutes.",
        "not_in_service": "This number is not in service.",
        "try_again_later": "We cannot take your call at the moment. Please try again in a few minutes.",
    },
    "de": {
        "one_moment": "Einen Moment, bitte.",
        "cannot_continue": "Es tut mir leid, ich kann nicht weitersprechen. Bitte rufen Sie später an.",
        "all_lines_busy": "Zurzeit sind alle Leitungen besetzt. Bitte rufen Sie gleich wieder an.",
        "not_in_service": "Diese Nummer ist nicht vergeben.",
        "try_again_later": "Wir sind gerade nicht erreichbar. Bitte rufen Sie in einigen Minuten an.",
    },
}
_VOICES = {"en": "en-us", "de": "de"}
_WORDS_PER_MINUTE = "155"
_TIMEOUT_SECONDS = 60
_TO_16_KHZ = f"sox -t wav - -t raw -r {SAMPLE_RATE_HZ} -b 16 -e signed -c 1 - norm -6".split()
_STAMP = ".rendered.json"


def render(sentences_dir: Path, languages: Iterable[str] = tuple(TEXTS)) -> None:
    """Renders what is missing or has another text than last time. A file that somebody put there by hand (a
    recorded announcement) is left alone, and its gateway copy follows it.

    Raises ValueError for a language without texts, FileNotFoundError without espeak-ng.
    """
    for language in languages:
        if language not in TEXTS:
            raise ValueError(f"there are no sentences in {language!r}; known: {', '.join(TEXTS)}")
        folder = sentences_dir / language
        (folder / "gateway").mkdir(parents=True, exist_ok=True)
        rendered = _read_stamp(folder / _STAMP)
        for key, text in TEXTS[language].items():
            path = folder / f"{key}.wav"
            wanted = _digest(f"{_VOICES[language]}|{_WORDS_PER_MINUTE}|{text}".encode())
            old = rendered.get(key)
            by_hand = path.exists() and (old is None or old["audio"] != _digest(path.read_bytes()))
            if not by_hand and (old is None or old["text"] != wanted or not path.exists()):
                audio = _speak(text, _VOICES[language])
                _replace(path, audio)
                rendered[key] = {"text": wanted, "audio": _digest(audio)}
            _copy_for_gateway(path, folder / "gateway" / f"{key}.sln16")
        _replace(folder / _STAMP, json.dumps(rendered, indent=1, sort_keys=True).encode())


def _speak(text: str, voice: str) -> bytes:
    """A WAV of the text, 16 kHz mono 16 bit."""
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", _WORDS_PER_MINUTE, "--stdout", "--", text],
        check=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
    ).stdout
    converted = subprocess.run(
        _TO_16_KHZ,
        check=True,
        input=_with_true_length(spoken),
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
    ).stdout
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(converted)
    return target.getvalue()


def _with_true_length(wav: bytes) -> bytes:
    """espeak-ng does not know the length when it writes to a pipe; sox wants it right."""
    length = len(wav)
    return (
        wav[:4]
        + (length - 8).to_bytes(4, "little")
        + wav[8:40]
        + (length - 44).to_bytes(4, "little")
        + wav[44:]
    )


def _copy_for_gateway(source: Path, target: Path) -> None:
    with wave.open(str(source), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE_HZ, 1, 2):
            raise ValueError(f"{source} must be 16 kHz, mono, 16 bit")
        samples = file.readframes(file.getnframes())
    if not target.exists() or target.read_bytes() != samples:
        _replace(target, samples)


def _read_stamp(path: Path) -> dict[str, dict[str, str]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    render(Path(sys.argv[1]), sys.argv[2:] or tuple(TEXTS))
