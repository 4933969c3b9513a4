"""The whole demo, from starting the parts to the summary."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from appliance.cli import EXIT_FOUND
from appliance.errors import AtCapacity, TrunklineError, Unavailable
from provisioning.caller.voice import read_recording, utterances
from provisioning.demo import engines
from provisioning.demo.call import DemoCall, seconds_since
from provisioning.demo.call_records import CallRecords
from provisioning.demo.components import components
from provisioning.demo.display import Display, booking_line
from provisioning.demo.report import latencies, write_report
from provisioning.identity.first_login import first_login
from provisioning.lite.box import Box
from provisioning.lite.ports import Ports

_TELEPHONE_RATE_HZ = 8000


def run(
    box: Box,
    *,
    caller: Path | None = None,
    calls: int = 1,
    json_output: bool = False,
    console: bool = True,
) -> int:
    """Starts the box, places `calls` calls at once, writes the report, and (`console`) opens the console.

    Returns the exit code: 0 good, 1 a call did not end as it should. Raises InvalidInput for a recording that
    cannot be used, before anything starts; Unavailable naming the part that failed and its log.
    """
    began_ns = time.time_ns()
    display = Display(to_stderr=json_output)
    if caller is not None:
        utterances(read_recording(caller, _TELEPHONE_RATE_HZ), _TELEPHONE_RATE_HZ)
    box.prepare()
    display.heading("Starting the parts")
    ready_ms = box.start(on_event=display.part)
    told = engines.facts(box) if box.engines == "real" else []
    versions = components(box, ready_ms, told)
    tokens_before = engines.tokens(box) if told else {}
    display.heading(f"Calling {box.seed.number}" + (f", {calls} calls at once" if calls > 1 else ""))
    try:
        results, rang_ns = asyncio.run(_place(box, display, caller, calls))
    except TrunklineError as error:
        raise _with_the_guilty_part(box, error) from error
    report = box.directory.parent / "demo" / "report.json"
    more: dict[str, Any] = {}
    if told:
        more["engines"] = engines.what_they_did(box, told, tokens_before, engines.tokens(box), results)
        _tell_engines(display, more["engines"])
    document = write_report(report, results, versions, more)
    address = _open_console(box, display) if console else None
    if json_output:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    good = [_is_good(result, asked=caller is None) for result in results]
    _tell(box, display, results, report, seconds_since(began_ns, rang_ns), address)
    if not all(good):
        display.line(f"\n{good.count(False)} of {calls} calls did not end as they should; see {report}.")
        return EXIT_FOUND
    return 0


async def _place(
    box: Box, display: Display, recording: Path | None, count: int
) -> tuple[list[dict[str, Any]], int]:
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        placed = [
            DemoCall(box, records, display, index, index if count > 1 else None, recording)
            for index in range(count)
        ]
        tasks = [asyncio.create_task(call.run()) for call in placed]
        try:
            results = [await task for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return results, min(call.rang_ns for call in placed)


def _is_good(result: dict[str, Any], *, asked: bool) -> bool:
    """A call that asked for an appointment has that very one; every call has its encrypted recording."""
    recording = result["recording"]
    kept = recording["encrypted"] and recording["sha256_matches"]
    return bool(kept and not result["booking_differs"] and (result["booking"] is not None or not asked))


def _tell(
    box: Box,
    display: Display,
    results: list[dict[str, Any]],
    report: Path,
    first_ring_seconds: float,
    address: tuple[str, str, str] | None,
) -> None:
    first = results[0]
    rows = [("first ring after", f"{first_ring_seconds:.1f} s")]
    for index, result in enumerate(results):
        prefix = f"call {index + 1} " if len(results) > 1 else ""
        took = latencies(result["turns"])
        spread = f"{took['p50']:.0f} ms, at most {took['max']:.0f} ms" if took else "no turn was answered"
        rows.append((f"{prefix}outcome", f"{result['outcome']} after {result['seconds']:.0f} s"))
        rows.append((f"{prefix}median latency", spread))
        rows.append((f"{prefix}booking", booking_line(result["booking"]) if result["booking"] else "none"))
        if result["booking_differs"]:
            rows.append((f"{prefix}BUT", result["booking_differs"]))
    recording = first["recording"]
    length = f"{recording['seconds']:.0f} s, {recording['channels']} channels"
    word = "encrypted" if recording["encrypted"] else "NOT ENCRYPTED"
    rows.append(("recording", f"{recording['bucket']}/{recording['object']} ({length}, {word})"))
    rows.append(("report", str(report)))
    display.heading("What came of it")
    display.summary(rows)
    display.heading("The box keeps running")
    seed, port = box.seed, box.ports["asterisk"]
    settings = f"TRUNKLINE_SETTINGS={box.settings_file} "
    display.summary(
        [
            ("dial in by softphone", f"account {seed.softphone_user}@127.0.0.1:{port} (UDP or TCP)"),
            ("  its password", seed.softphone_password),
            ("  dial", seed.number.removeprefix("+")),
            (
                "hear the recording",
                f"{settings}.venv/bin/appliance recording export {first['call_id']} -o call.wav",
            ),
            ("take another call", "make demo"),
            ("stop", "make down"),
        ]
    )
    if address is not None:
        tell_sign_in(display, address, box.ports)


def tell_sign_in(display: Display, address: tuple[str, str, str], ports: Ports) -> None:
    """The last thing on the screen: one address and one login, and how to get there."""
    url, user, password = address
    forwarded = (ports[name] for name in ("console", "keycloak", "livekit", "livekit_rtc_tcp"))
    tunnels = " ".join(f"-L {port}:127.0.0.1:{port}" for port in forwarded)
    display.heading("Sign in to the console")
    display.summary([("open", url), ("user", user), ("password", password)])
    display.line(
        "  Open the address in a browser on this machine; its sign-in page asks for the two. From another\n"
        f"  machine first: ssh -N {tunnels} THIS_MACHINE"
    )


def _tell_engines(display: Display, did: dict[str, Any]) -> None:
    display.heading("The engines")
    rows = [
        (each["part"], f"{each['engine']} {each['version']}, {each['model']} {str(each['sha256'])[:16]}")
        for each in did["engines"]
    ]
    rows.append(("recognised", " / ".join(did["recognised"])))
    rows.append(("tokens of vLLM", f"{did['tokens']['read']} read, {did['tokens']['written']} written"))
    rows.append(("audio of the voice", f"{did['spoken_seconds']} s"))
    display.summary(rows)
    if did["note"]:
        display.line(f"  {did['note']}")


def _open_console(box: Box, display: Display) -> tuple[str, str, str]:
    """After the calls, whose sound it would disturb. Address, user and password of the first login."""
    display.heading("Opening the console")
    box.start("keycloak", "console", on_event=display.part)
    return (box.settings.console.url, *first_login(box))


def _with_the_guilty_part(box: Box, error: TrunklineError) -> TrunklineError:
    """A failed call tells little by itself: names the parts that do not serve, or where to look."""
    sick = [name for name, part in box.status().items() if not part["ready"]]
    if sick:
        logs = ", ".join(f"{name}: {box.log_path(name)}" for name in sick)
        remedy = f"These parts do not serve; their logs: {logs}. Then `make down` and `make demo` again."
    else:
        logs = ", ".join(str(box.log_path(name)) for name in ("bridge", "worker", "asterisk"))
        remedy = f"Every part serves; what happened to the call is in {logs}."
    kind = Unavailable if isinstance(error, Unavailable | AtCapacity) else TrunklineError
    return kind(error.message, remedy=remedy)
