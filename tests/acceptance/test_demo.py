"""`appliance demo` as a person runs it: from nothing to a booked appointment, and with their own voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from provisioning.demo.call_records import CallRecords
from provisioning.lite.box import Box
from tests.fixtures.box import TEST_PORT

PORT_BASE = TEST_PORT + 1500
RECORDED = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PARTS = {
    "postgres",
    "redis",
    "livekit",
    "minio",
    "asterisk",
    "speech",
    "dialogue",
    "tool_api",
    "worker",
    "bridge",
    "jobs",
}


def appliance(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "appliance"), *arguments],
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A box directory of its own, stopped at the end."""
    box = tmp_path_factory.mktemp("demo") / "box"
    try:
        yield box
    finally:
        appliance("down", "--directory", str(box))


def persons_recording(path: Path, *utterances: list[str]) -> None:
    """A person's words (Debian's asterisk-core-sounds, 8 kHz) with a second of silence between utterances."""
    pause, breath = np.zeros(8000, np.int16), np.zeros(400, np.int16)
    pieces = [pause]
    for words in utterances:
        for word in words:
            with wave.open(str(RECORDED / f"{word}.wav")) as sound:
                assert (sound.getframerate(), sound.getnchannels()) == (8000, 1)
                pieces += [np.frombuffer(sound.readframes(sound.getnframes()), np.int16), breath]
        pieces.append(pause)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.concatenate(pieces).tobytes())


def spoken_seconds(channel: npt.NDArray[np.int16]) -> float:
    blocks = channel[: len(channel) // 320 * 320].reshape(-1, 320).astype(np.float64)
    return float(np.count_nonzero(np.sqrt((blocks**2).mean(axis=1)) > 200)) * 0.02


def report(directory: Path) -> dict[str, Any]:
    return json.loads((directory.parent / "demo" / "report.json").read_text(encoding="utf-8"))


@pytest.mark.timeout(450)
def test_the_demo_books_an_appointment(directory: Path) -> None:
    done = appliance("demo", "--no-console", "--directory", str(directory), "--port-base", str(PORT_BASE))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = report(directory)
    assert seen["outcome"] == "booked"
    assert seen["call_id"]
    assert seen["sip_call_id"]
    answered = [turn for turn in seen["turns"] if turn["latency_ms"] is not None]
    assert len(answered) >= 4
    assert all(turn["caller_text"] and turn["agent_text"] for turn in answered)
    assert all(0 < turn["latency_ms"] < 20_000 for turn in answered)
    booking = seen["booking"]
    assert booking["calendar"] == "Appointments"
    assert booking["name"]
    assert booking["starts_at"] < booking["ends_at"]
    recording = seen["recording"]
    assert recording["encrypted"] is True
    assert recording["sha256_matches"] is True
    assert (recording["channels"], len(recording["sha256"])) == (2, 64)
    assert abs(recording["seconds"] - seen["seconds"]) < 15
    components = {component["name"]: component for component in seen["components"]}
    assert set(components) == PARTS
    assert all(component["version"] not in ("", "unknown") for component in components.values())
    assert all(component["ready_ms"] >= 0 for component in components.values())
    # what a person is told: the dialogue, the way in, the way out
    for text in ("How can I help", "answer after", "softphone", "4930555010", "make down", booking["name"]):
        assert text in done.stdout


async def test_its_call_is_kept_turn_by_turn(directory: Path) -> None:
    """What the database has of the demo's call: who ended it, each turn with its times, each tool call."""
    box = Box.open(directory)
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        call = await records.finished(report(directory)["sip_call_id"])
        turns = await records.turns(call["id"])
        bookings = await records.bookings(call["id"])
    assert (call["outcome"], call["ended_by"]) == ("booked", "agent")
    assert len(bookings) == 1
    assert [turn["index"] for turn in turns] == list(range(len(turns)))
    stamped = [
        turn["stamps"] for turn in turns if turn["caller_text"] and "first_audio_out" in turn["stamps"]
    ]
    assert stamped
    assert all(stamps["first_audio_out"] > 0 for stamps in stamped), stamped
    assert {"vad_end", "stt_final", "end_of_turn", "llm_first_token"} <= set(stamped[-1]), stamped
    assert "create_booking" in [done["action"] for turn in turns for done in turn["tool_calls"]]


@pytest.mark.timeout(450)
def test_the_box_keeps_running_and_takes_a_persons_recording(directory: Path, tmp_path: Path) -> None:
    """The second command takes another call, utterance by utterance of a WAV; its report is the new one."""
    first = report(directory)
    persons_recording(tmp_path / "caller.wav", ["digits/day-4"], ["digits/10"], ["vm-goodbye"])
    done = appliance(
        "demo",
        "--no-console",
        "--directory",
        str(directory),
        "--caller",
        str(tmp_path / "caller.wav"),
        "--json",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["call_id"] == report(directory)["call_id"] != first["call_id"]
    assert seen["booking"] is None
    heard = " ".join(turn["caller_text"] for turn in seen["turns"])
    for words in ("thursday", "ten", "bye"):
        assert words in heard

    exported = tmp_path / "call.wav"
    settings = {"TRUNKLINE_SETTINGS": str(directory / "settings.yaml")}
    done = appliance("recording", "export", first["call_id"], "-o", str(exported), environment=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    with wave.open(str(exported)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 16_000)
        assert abs(sound.getnframes() / 16_000 - first["recording"]["seconds"]) < 0.1
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).reshape(-1, 2)
    assert spoken_seconds(samples[: 8 * 16_000, 1]) > 2.0, "consent and greeting are on it"
    assert spoken_seconds(samples[:, 0]) > 3.0
    assert spoken_seconds(samples[: 2 * 16_000, 0]) == 0.0, "the caller has not spoken yet"


def test_a_recording_that_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")
    done = appliance(
        "demo", "--no-console", "--directory", str(tmp_path / "box"), "--caller", str(tmp_path / "noise.wav")
    )
    assert done.returncode == 2
    assert "is no WAV" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "box" / "log").exists()
