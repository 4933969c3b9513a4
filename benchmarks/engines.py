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
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jiwer
import psutil

from appliance.clients.language import LanguageModel
from appliance.clients.speech import SpeechToText, TextToSpeech
from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings
from benchmarks.engine_streams import (
    Measured,
    Work,
    answering,
    espeak_speech,
    recognising,
    recorded_speech,
    speaking,
)
from benchmarks.results import machine, save, spread

_LIMIT_SECONDS = 300.0
_VALUES_A_ROUND = 8


@dataclass
class Taken:
    """What the runs of one kind (so many streams, together or one by one) have measured."""

    streams: int
    together: bool
    done: list[Measured] = field(default_factory=list[Measured])
    failed: list[str] = field(default_factory=list[str])
    wall_seconds: float = 0.0

    def result(self) -> dict[str, Any]:
        audio = sum(measured.audio_seconds for measured in self.done)
        tokens = sum(measured.tokens for measured in self.done)
        result: dict[str, Any] = {
            "streams": self.streams,
            "how": "together" if self.together else "one by one",
            "served": len(self.done),
            "refused_or_failed": {name: self.failed.count(name) for name in sorted(set(self.failed))},
            "wall_seconds": round(self.wall_seconds, 2),
            "first_ms": spread([measured.first_ms for measured in self.done]),
            "done_ms": spread([measured.done_ms for measured in self.done]),
        }
        gaps = [gap for measured in self.done for gap in measured.gaps_ms]
        if gaps:
            result["between_ms"] = spread(gaps)
        if audio:
            result["audio_seconds"] = round(audio, 1)
            result["real_time_factor"] = round(self.wall_seconds / audio, 3)
        if tokens:
            result["tokens_per_second"] = round(tokens / self.wall_seconds, 1)
        labelled = [measured for measured in self.done if measured.expected]
        if labelled:
            result["word_error_rate"] = round(
                jiwer.wer([one.expected for one in labelled], [one.heard or "-" for one in labelled]), 3
            )
        return result


async def run(taken: Taken, work: Work, first: int = 0) -> None:
    """All at once, or one after the other with everybody waiting from the beginning. Adds to `taken`; the
    streams are numbered from `first`, which chooses what is said on them."""
    begun = time.monotonic()

    async def one(number: int) -> Measured | None:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                return await work(number, begun)
        except (TrunklineError, TimeoutError) as error:
            taken.failed.append(type(error).__name__)
            return None

    numbers = range(first, first + taken.streams)
    if taken.together:
        found = await asyncio.gather(*(one(number) for number in numbers))
    else:
        found = [await one(number) for number in numbers]
    taken.wall_seconds += time.monotonic() - begun
    taken.done += [measured for measured in found if measured is not None]


def memory_mib(address: str) -> float | None:
    """What the server that listens there, its parents' other children left out, and its children hold."""
    port = int(address.rpartition(":")[2].split("/")[0])
    for connection in psutil.net_connections("tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port == port:
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
    settings: Settings,
    streams: Sequence[int],
    parts: Sequence[str],
    audio: Path | None,
    rounds: int,
    voice: str,
) -> dict[str, Any]:
    """The whole run; `voice` is its address. An engine that does not answer is in the document, with why."""
    speech = settings.speech
    stt = SpeechToText(speech.stt_address, speech.stt_model, result_timeout_seconds=120.0)
    tts = TextToSpeech(voice, speech.tts_model, first_audio_timeout_seconds=120.0)
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
        works["tts"] = (voice, speaking(tts), speaking(tts))
    if "llm" in parts:
        works["llm"] = (settings.language.base_url.removesuffix("/v1"), answering(llm), answering(llm))
    try:
        for part, (address, at_once, alone) in works.items():
            warm = Taken(1, together=True)
            await run(warm, at_once)
            if not warm.done:
                document["runs"].append({"engine": part, **warm.result()})
                continue
            for taken in await _in_turns(at_once, alone, streams, rounds):
                document["runs"].append({"engine": part, **taken.result(), "memory_mib": memory_mib(address)})
                show(document["runs"][-1])
    finally:
        await asyncio.gather(stt.close(), tts.close(), llm.close())
    document["gpu_after"] = gpu()
    return document


async def _in_turns(at_once: Work, alone: Work, streams: Sequence[int], rounds: int) -> list[Taken]:
    """Every kind of run in every round, so that a busy moment of the machine falls on all of them alike. In
    a round few streams are tried several times: each kind has about as many values, with the same words."""
    kinds = [Taken(count, together) for count in streams for together in (True, False)]
    for _ in range(rounds):
        for taken in kinds:
            for first in range(0, max(_VALUES_A_ROUND, taken.streams), taken.streams):
                await run(taken, at_once if taken.together else alone, first)
    return kinds


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
    parser.add_argument("--rounds", type=int, default=3, help="of all kinds of runs, one after the other")
    asked = parser.parse_args()
    if asked.settings is not None:
        settings = load_settings(asked.settings)
        document = asyncio.run(
            measure(
                settings, asked.streams, asked.parts, asked.audio, asked.rounds, settings.speech.tts_address
            )
        )
    else:
        from provisioning.lite.box import Box

        box = Box(asked.start, asked.port_base, engines="real", overrides={"speech": {"max_streams": 32}})
        box.prepare()
        try:
            for part, name in (("stt", "triton"), ("tts", "voice"), ("llm", "language")):
                if part in asked.parts:
                    box.start(name)
            # Coqui's, whoever is heard in calls (docs/adr/0112)
            voice = f"127.0.0.1:{box.ports['voice']}"
            document = asyncio.run(
                measure(box.settings, asked.streams, asked.parts, asked.audio, asked.rounds, voice)
            )
        finally:
            box.stop_all()
    print(save("engines", document))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
