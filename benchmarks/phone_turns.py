"""Turn latency as callers hear it, the platform's own share of it, and the media round trip.

    make bench                                       1, 5 and 10 callers, lite and fixed engines, round trip
    make bench BENCH="--calls 1 --turns 3"           a quick look

The box of the benchmark is its own (`var/bench`, ports from 19000); that of `make demo` should be down.
Results: benchmarks/results/<date>-phone-turns.json and .png.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.errors import TrunklineError, Unavailable
from benchmarks import results, round_trip
from benchmarks.fixed_engines import Delays
from benchmarks.load import CallResult, callers, recorded_speech
from benchmarks.processes import Meter
from provisioning.demo.call_records import CallRecords
from provisioning.lite.box import Box
from provisioning.lite.cache import REPOSITORY
from provisioning.lite.receptionist import receptionist

DEFAULT_BASE = 19000
VAD_SILENCE_MS = 250.0
"""The worker's voice activity detector ends speech after so much silence (runtime/agent/job.py)."""
PAUSE_MS = 128.0
"""Silence after which the engines begin (runtime/agent/pauses.py)."""


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def fixed_engines(box: Box, delays: Delays) -> Generator[None]:
    """Servers of fixed delay in the places, and on the ports, of the box's own engines."""
    box.stop("speech", "dialogue")
    command = [sys.executable, "-m", "benchmarks.fixed_engines"]
    command += ["--speech-port", str(box.ports["speech"]), "--language-port", str(box.ports["dialogue"])]
    for name in ("stt", "llm", "tts"):
        command += [f"--{name}-ms", str(getattr(delays, f"{name}_ms"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise Unavailable("The fixed engines did not start.", remedy="See what they wrote above.")
            yield
        finally:
            process.terminate()
            process.wait(10)


def overhead_ms(turn: dict[str, Any], delays: Delays) -> float | None:
    """What is left of a turn without the engines' delay and the configured end-of-turn wait.

    A turn whose end the model doubted waits for `max_endpointing_ms`, while the engines have finished.
    """
    if (waits := _waits_ms(turn)) is None:
        return None
    decided, doubted = waits
    return turn["latency_ms"] - decided - max(doubted, delays.sum_ms)


def beyond_overlap_ms(turn: dict[str, Any], delays: Delays) -> float | None:
    """What is left of a turn without the longer of what must follow one another: the wait and the final
    result; or the pause and all three engines, which begin in it (docs/adr/0198)."""
    if (waits := _waits_ms(turn)) is None:
        return None
    decided, doubted = waits
    chains = (VAD_SILENCE_MS + delays.stt_ms, decided + doubted, PAUSE_MS + delays.sum_ms)
    return turn["latency_ms"] - max(chains)


def _waits_ms(turn: dict[str, Any]) -> tuple[float, float] | None:
    """Until the end of the turn was looked at, and how much longer since the model doubted it.

    None for a turn that was not answered.
    """
    if turn["latency_ms"] is None or not turn["caller_text"]:
        return None
    taking = receptionist().turn_taking
    decided = max(float(taking.min_endpointing_ms), VAD_SILENCE_MS)
    doubted = turn["stamps_ms"].get("end_of_turn", 0.0) >= taking.max_endpointing_ms - 50
    return decided, max(taking.max_endpointing_ms - decided, 0.0) if doubted else 0.0


def stages(found: list[CallResult]) -> dict[str, Any]:
    """Spread of each stored stamp (ms since the caller's last speech, on the worker's clock)."""
    values: dict[str, list[float]] = {}
    for result in found:
        for turn in result.turns:
            if turn["latency_ms"] is not None:
                for name, at in turn["stamps_ms"].items():
                    values.setdefault(name, []).append(float(at))
    return {name: results.spread(ms) for name, ms in values.items()}


async def one_run(box: Box, engines: str, count: int, turns: int, delays: Delays | None) -> dict[str, Any]:
    """One load: `count` calls at once."""
    say(f"{engines} engines, {count} at once ...")
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        with Meter(box) as meter:
            found = await callers(box, records, count, turns, scripted=delays is not None)
    latencies = [ms for result in found for ms in result.latencies_ms]
    run: dict[str, Any] = {
        "engines": engines,
        "calls": count,
        "failed_calls": [result.failure for result in found if result.failure],
        "outcomes": [result.outcome for result in found],
        "latency_ms": results.spread(latencies),
        "unanswered_turns": sum(one.latency_ms is None for result in found for one in result.exchanges),
        "false_cut_offs": sum(one.cut_off for result in found for one in result.exchanges),
        "answer_ms": results.spread([result.answer_ms for result in found if result.answer_ms is not None]),
        "stages_ms": stages(found),
        "processes": meter.result,
    }
    if delays is not None:
        for name, of in (("overhead_ms", overhead_ms), ("beyond_overlap_ms", beyond_overlap_ms)):
            left = [of(turn, delays) for result in found for turn in result.turns]
            run[name] = results.spread([ms for ms in left if ms is not None])
    took = run["latency_ms"]
    say(f"  latency {took}; failed {len(run['failed_calls'])}")
    if delays is not None:
        say(f"  overhead {run['overhead_ms']}; beyond overlap {run['beyond_overlap_ms']}")
    return run


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Every run that was asked for, on the benchmark's own box."""
    calls = [int(part) for part in given.calls.split(",")]
    delays = Delays(given.stt_ms, given.llm_ms, given.tts_ms)
    directory = given.directory.resolve()
    document: dict[str, Any] = {
        "machine": results.machine(),
        "turns_per_call": given.turns,
        "callers": "recorded speech of people" if recorded_speech() else "flite",
        "fixed_delays_ms": {"stt": delays.stt_ms, "llm": delays.llm_ms, "tts": delays.tts_ms},
        "end_of_turn_wait_ms": receptionist().turn_taking.min_endpointing_ms,
        "runs": [],
    }
    box = Box(directory, given.port_base)
    try:
        say("starting the box ...")
        box.start()
        if not given.no_round_trip:
            document["round_trip"] = asyncio.run(round_trip.measure(box, given.chirps))
            say(f"round trip {document['round_trip']}")
        if "lite" in given.engines:
            for count in calls:
                document["runs"].append(asyncio.run(one_run(box, "lite", count, given.turns, None)))
        if "fixed" in given.engines:
            with fixed_engines(box, delays):
                for count in calls:
                    document["runs"].append(asyncio.run(one_run(box, "fixed", count, given.turns, delays)))
    finally:
        box.stop_all()
    return document


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", default="1,5,10", help="loads, callers at once (default 1,5,10)")
    parser.add_argument("--turns", type=int, default=6, help="turns of each call (default 6)")
    parser.add_argument("--chirps", type=int, default=40, help="of the round trip (default 40)")
    parser.add_argument("--engines", default="lite,fixed", help="lite, fixed or both")
    parser.add_argument("--no-round-trip", action="store_true")
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "var" / "bench")
    parser.add_argument("--port-base", type=int, default=DEFAULT_BASE)
    for name, value in (("stt", 40.0), ("llm", 90.0), ("tts", 60.0)):
        parser.add_argument(
            f"--{name}-ms", type=float, default=value, help=f"fixed delay (default {value:g})"
        )
    given = parser.parse_args()
    try:
        document = measure(given)
    except TrunklineError as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(3)
    path = results.save("phone-turns", document)
    say(f"{path.relative_to(REPOSITORY)} and {results.plot(path, document).name}")


if __name__ == "__main__":
    main()
