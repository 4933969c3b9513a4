"""`python -m benchmarks.engines`: each real engine with 1, 8 and 32 streams, beside itself called one by one.

`--settings FILE` names a running box's settings; `--start` starts one with the real engines and stops it. In
the same run each engine does the same work twice: all streams at once, and naively one after the other as a
plain call of the library would, with every listener waiting from the beginning. Labelled audio is
espeak-ng's, of sentences the tiny recogniser was never trained on; real weights may be given other audio by
`--audio FOLDER` (`*.wav` of 16 kHz mono, each with a `.txt` of its words).
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import subprocess
import time
import wave
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import psutil

from appliance.clients.language import Finished, LanguageModel, TextDelta
from appliance.clients.speech import STT_SAMPLE_RATE_HZ, TTS_SAMPLE_RATE_HZ, SpeechToText, TextToSpeech
from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings
from benchmarks.results import machine, save, spread

_LIMIT_SECONDS = 300.0
_FRAME = STT_SAMPLE_RATE_HZ // 10
_QUESTIONS = (
    "What are your opening hours?",
    "I would like to book an appointment on Monday.",
    "Can I speak to a person, please?",
    "What times do you have tomorrow?",
)
_SYSTEM = "You are the receptionist of a clinic. Answer in one or two short sentences."


@dataclass
class Measured:
    """One stream's times in milliseconds from when its listener began to wait."""

    first_ms: float
    done_ms: float
    work_seconds: float
    audio_seconds: float = 0.0
    gaps_ms: list[float] = field(default_factory=list[float])
    tokens: int = 0
    expected: str = ""
    heard: str = ""


Work = Callable[[int, float], Awaitable[Measured]]


@dataclass(frozen=True)
class Labelled:
    pcm: bytes
    text: str

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / STT_SAMPLE_RATE_HZ


def espeak_speech(count: int) -> list[Labelled]:
    """Held-out sentences of the tiny recogniser in espeak-ng's voices, 16 kHz mono."""
    import soxr

    from tests.models.recogniser.phrases import sentences

    voices = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")
    made: list[Labelled] = []
    for number, text in enumerate(sentences(count, 7, held_out=True)):
        wav = subprocess.run(
            ["espeak-ng", "-v", voices[number % len(voices)], "-s", "150", "--stdin", "--stdout"],
            input=text.encode(),
            capture_output=True,
            check=True,
            timeout=20,
        ).stdout[44:]
        samples = np.frombuffer(wav[: len(wav) // 2 * 2], "<i2").astype(np.float32) / 32768
        resampled = np.clip(soxr.resample(samples, 22_050, STT_SAMPLE_RATE_HZ), -1, 1)
        made.append(Labelled((resampled * 32767).astype("<i2").tobytes(), text))
    return made


def recorded_speech(folder: Path) -> list[Labelled]:
    found: list[Labelled] = []
    for file in sorted(folder.glob("*.wav")):
        with wave.open(str(file), "rb") as audio:
            found.append(
                Labelled(audio.readframes(audio.getnframes()), file.with_suffix(".txt").read_text().strip())
            )
    return found


def recognising(client: SpeechToText, speech: Sequence[Labelled], *, paced: bool) -> Work:
    """`paced` sends as a caller speaks, and the wait begins at the last sample; else all audio at once."""

    async def work(number: int, waiting_since: float) -> Measured:
        one = speech[number % len(speech)]
        begun = time.monotonic()
        async with client.stream(language="en") as stream:
            for position, start in enumerate(range(0, len(one.pcm), 2 * _FRAME)):
                await stream.push(one.pcm[start : start + 2 * _FRAME])
                if paced:
                    await asyncio.sleep(max(0.0, begun + (position + 1) * 0.1 - time.monotonic()))
            if paced:
                waiting_since = time.monotonic()
            await stream.flush()
            await stream.end()
            heard, final_at = "", 0.0
            async for result in stream:
                if result.type == "final":
                    heard, final_at = f"{heard} {result.text}".strip(), final_at or time.monotonic()
        done = (final_at - waiting_since) * 1000
        return Measured(done, done, final_at - begun, one.seconds, expected=one.text, heard=heard)

    return work


def speaking(client: TextToSpeech) -> Work:
    """Sentences that nobody said before, so that nothing is found ready."""

    async def work(number: int, waiting_since: float) -> Measured:
        # Letters, not digits: each sentence has the same length whatever its name is.
        name = "".join(chr(97 + byte % 26) for byte in secrets.token_bytes(6))
        text = f"Good morning {name}. Your appointment, {name}, is on Monday at nine. Goodbye {name}."
        begun, first, heard = time.monotonic(), 0.0, 0
        gaps: list[float] = []
        last = begun
        async for chunk in client.synthesize(text):
            now = time.monotonic()
            if not heard:
                first = now
            else:
                gaps.append((now - last) * 1000)
            last = now
            heard += len(chunk)
        return Measured(
            (first - waiting_since) * 1000,
            (last - waiting_since) * 1000,
            last - begun,
            heard / 2 / TTS_SAMPLE_RATE_HZ,
            gaps,
        )

    return work


def answering(client: LanguageModel) -> Work:
    async def work(number: int, waiting_since: float) -> Measured:
        messages = [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": _QUESTIONS[number % len(_QUESTIONS)]},
        ]
        begun = last = time.monotonic()
        first, tokens = 0.0, 0
        gaps: list[float] = []
        async for event in client.stream(messages, max_tokens=64, temperature=0.0):
            now = time.monotonic()
            if isinstance(event, Finished):
                tokens = event.completion_tokens
            elif not first:
                first = now
            elif isinstance(event, TextDelta):
                gaps.append((now - last) * 1000)
            last = now
        first = first or last
        return Measured(
            (first - waiting_since) * 1000, (last - waiting_since) * 1000, last - begun, 0.0, gaps, tokens
        )

    return work


async def run(streams: int, work: Work, *, together: bool) -> dict[str, Any]:
    """All at once, or one after the other with everybody waiting from the beginning."""
    begun = time.monotonic()
    failed: list[str] = []

    async def one(number: int) -> Measured | None:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                return await work(number, begun)
        except (TrunklineError, TimeoutError) as error:
            failed.append(type(error).__name__)
            return None

    if together:
        found = await asyncio.gather(*(one(number) for number in range(streams)))
    else:
        found = [await one(number) for number in range(streams)]
    wall = time.monotonic() - begun
    done = [measured for measured in found if measured is not None]
    audio = sum(measured.audio_seconds for measured in done)
    tokens = sum(measured.tokens for measured in done)
    result: dict[str, Any] = {
        "streams": streams,
        "how": "together" if together else "one by one",
        "served": len(done),
        "refused_or_failed": {name: failed.count(name) for name in sorted(set(failed))},
        "wall_seconds": round(wall, 2),
        "first_ms": spread([measured.first_ms for measured in done]),
        "done_ms": spread([measured.done_ms for measured in done]),
    }
    gaps = [gap for measured in done for gap in measured.gaps_ms]
    if gaps:
        result["between_ms"] = spread(gaps)
    if audio:
        result["audio_seconds"] = round(audio, 1)
        result["real_time_factor"] = round(wall / audio, 3)
    if tokens:
        result["tokens_per_second"] = round(tokens / wall, 1)
    labelled = [measured for measured in done if measured.expected]
    if labelled:
        result["word_error_rate"] = round(
            jiwer.wer([one.expected for one in labelled], [one.heard or "-" for one in labelled]), 3
        )
    return result


def memory_mib(address: str) -> float | None:
    """What the server that listens there, its parents' other children left out, and its children hold."""
    port = int(address.rpartition(":")[2].split("/")[0])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                family = [process, *process.children(recursive=True)]
                return round(sum(one.memory_info().rss for one in family) / 2**20, 1)
            except psutil.Error:
                return None
    return None


def gpu() -> list[str]:
    """Chips and their memory in use, as the driver says it; none without one."""
    try:
        said = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return said.stdout.strip().splitlines()


async def measure(
    settings: Settings, streams: Sequence[int], parts: Sequence[str], audio: Path | None
) -> dict[str, Any]:
    """The whole run. An engine that does not answer is in the document with its error."""
    speech = settings.speech
    stt = SpeechToText(speech.stt_address, speech.stt_model, result_timeout_seconds=120.0)
    tts = TextToSpeech(speech.tts_address, speech.tts_model, first_audio_timeout_seconds=120.0)
    llm = LanguageModel(
        settings.language.base_url,
        settings.language.model,
        api_key=settings.language.api_key.reveal() if settings.language.api_key else None,
        first_token_timeout_seconds=120.0,
        gap_timeout_seconds=60.0,
    )
    document: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "gpu": gpu(),
        "runs": [],
    }
    works: dict[str, tuple[str, Work, Work]] = {}
    if "stt" in parts:
        labelled = recorded_speech(audio) if audio else espeak_speech(max(streams))
        works["stt"] = (
            speech.stt_address,
            recognising(stt, labelled, paced=True),
            recognising(stt, labelled, paced=False),
        )
    if "tts" in parts:
        works["tts"] = (speech.tts_address, speaking(tts), speaking(tts))
    if "llm" in parts:
        works["llm"] = (settings.language.base_url.removesuffix("/v1"), answering(llm), answering(llm))
    try:
        for part, (address, at_once, alone) in works.items():
            warm = await run(1, at_once, together=True)
            if not warm["served"]:
                document["runs"].append({"engine": part, **warm})
                continue
            for count in streams:
                for work, together in ((at_once, True), (alone, False)):
                    result = await run(count, work, together=together)
                    document["runs"].append({"engine": part, **result, "memory_mib": memory_mib(address)})
                    show(document["runs"][-1])
    finally:
        await asyncio.gather(stt.close(), tts.close(), llm.close())
    document["gpu_after"] = gpu()
    return document


def show(result: dict[str, Any]) -> None:
    first, done = result["first_ms"] or {}, result["done_ms"] or {}
    print(
        f"{result['engine']} {result['streams']:>3} {result['how']:<10} served {result['served']:>3}"
        f"  first p50/p95 {first.get('p50', '-')}/{first.get('p95', '-')} ms"
        f"  done p50/p95 {done.get('p50', '-')}/{done.get('p95', '-')} ms"
        f"  rtf {result.get('real_time_factor', '-')}  wer {result.get('word_error_rate', '-')}"
        f"  tok/s {result.get('tokens_per_second', '-')}  {result.get('memory_mib')} MiB",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--settings", type=Path, help="of a running box")
    where.add_argument("--start", type=Path, metavar="FOLDER", help="start a box with the real engines there")
    parser.add_argument("--port-base", type=int, default=18_000)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--parts", nargs="+", choices=["stt", "tts", "llm"], default=["stt", "tts", "llm"])
    parser.add_argument("--audio", type=Path)
    asked = parser.parse_args()
    if asked.settings is not None:
        document = asyncio.run(
            measure(load_settings(asked.settings), asked.streams, asked.parts, asked.audio)
        )
    else:
        from provisioning.lite.box import Box

        box = Box(asked.start, asked.port_base, engines="real", overrides={"speech.max_streams": 32})
        box.prepare()
        try:
            for part, name in (("stt", "triton"), ("tts", "voice"), ("llm", "language")):
                if part in asked.parts:
                    box.start(name)
            document = asyncio.run(measure(box.settings, asked.streams, asked.parts, asked.audio))
        finally:
            box.stop_all()
    print(save("engines", document))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
