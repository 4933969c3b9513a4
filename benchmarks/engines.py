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
