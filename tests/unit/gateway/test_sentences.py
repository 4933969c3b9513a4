"""The box's sentences are rendered once, again when their text changes, and never over a recorded one."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from provisioning.lite import sentences


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json"
    }


def test_every_sentence_is_there_for_bridge_and_gateway(tmp_path: Path) -> None:
    sentences.render(tmp_path)
    for language, texts in sentences.TEXTS.items():
        for key in texts:
            with wave.open(str(tmp_path / language / f"{key}.wav"), "rb") as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
                samples = file.readframes(file.getnframes())
            assert len(samples) > 16000
            assert (tmp_path / language / "gateway" / f"{key}.sln16").read_bytes() == samples


def test_rendering_again_changes_nothing_but_what_has_another_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences.render(tmp_path, ["en"])
    before = state(tmp_path)
    sentences.render(tmp_path, ["en"])
    assert state(tmp_path) == before
    monkeypatch.setitem(sentences.TEXTS["en"], "one_moment", "Please hold the line.")
    sentences.render(tmp_path, ["en"])
    after = state(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"en/one_moment.wav", "en/gateway/one_moment.sln16"}


def test_a_recorded_sentence_stays_and_the_gateway_has_it(tmp_path: Path) -> None:
    sentences.render(tmp_path, ["en"])
    own = tmp_path / "en" / "one_moment.wav"
    with wave.open(str(own), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\x01\x02" * 800)
    recorded = own.read_bytes()
    sentences.render(tmp_path, ["en"])
    assert own.read_bytes() == recorded
    assert (tmp_path / "en" / "gateway" / "one_moment.sln16").read_bytes() == b"\x01\x02" * 800


def test_an_unknown_language_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'xx'"):
        sentences.render(tmp_path, ["xx"])
