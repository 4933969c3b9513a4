"""`appliance up`, `down`, `status`, `doctor` and `demo`: the lite box from the command line.

Exit codes as everywhere: 0 good, 1 found something, 2 used wrongly, 3 not possible now.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli import EXIT_FOUND
from appliance.errors import InvalidInput
from provisioning.lite.box import Box
from provisioning.lite.cache import BOX_DIRECTORY
from provisioning.lite.engines import Engines
from provisioning.lite.ports import DEFAULT_BASE

PORT_VARIABLE = "TRUNKLINE_PORT_BASE"

Directory = Annotated[Path, typer.Option("--directory", help="The folder of the box.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")]
PortBase = Annotated[
    int | None, typer.Option("--port-base", help=f"First port; else {PORT_VARIABLE}, or {DEFAULT_BASE}.")
]


def _box(directory: Path, named: int | None, engines: Engines | None = None) -> Box:
    """The box of this directory; a new one, or one that is told to move, begins at the named port.

    `engines` None leaves the engines that it has.
    """
    text = os.environ.get(PORT_VARIABLE)
    kept = Box.open(directory) if Box.exists(directory) else None
    if named is None and text is None and kept is not None and engines in (None, kept.engines):
        return kept
    if named is None and text is None and kept is not None:
        named = kept.ports.base
    try:
        port_base = named if named is not None else int(text or DEFAULT_BASE)
    except ValueError as error:
        raise InvalidInput(f"{PORT_VARIABLE}={text!r} is not a port.", field=PORT_VARIABLE) from error
    if kept is None:
        return Box(directory, port_base, engines=engines or "lite")
    wanted = engines or kept.engines
    if (kept.ports.base, kept.engines) == (port_base, wanted):
        return kept
    kept.stop_all()  # the parts must meet at the new ports, and with the new engines, all of them
    return Box(directory, port_base, overrides=kept.overrides, engines=wanted)


def _print(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def up(directory: Directory = BOX_DIRECTORY, port_base: PortBase = None, json_output: Json = False) -> None:
    """Starts every part in order and waits until each serves. Running parts stay as they are."""
    box = _box(directory, port_base)

    def tell(part: str, phase: str, took_ms: float) -> None:
        if not json_output:
            _line(f"  {part}: {phase}" + (f" after {took_ms:.0f} ms" if phase == "ready" else ""))

    took = box.start(on_event=tell)
    took |= box.start("keycloak", "console", on_event=tell)  # after what calls need
    if json_output:
        _print({"directory": str(box.directory), "ready_ms": {name: round(ms) for name, ms in took.items()}})
    else:
        _line(f"{len(took)} parts serve. Stop them by `make down`.")


def down(directory: Directory = BOX_DIRECTORY, json_output: Json = False) -> None:
    """Stops every part, in the reverse order. The data stays."""
    box = Box.open(directory)
    stopped = box.running()
    box.stop_all()
    if json_output:
        _print({"directory": str(box.directory), "stopped": stopped})
    else:
        _line(f"Stopped: {', '.join(reversed(stopped)) or 'nothing was running'}.")


def status(directory: Directory = BOX_DIRECTORY, json_output: Json = False) -> None:
    """Asks every part whether it serves. Exit code 1 when one does not."""
    parts = Box.open(directory).status()
    if json_output:
        _print({"directory": str(directory), "parts": parts})
    else:
        for name, part in parts.items():
            word = "ready" if part["ready"] else part["state"]
            _line(f"  {name:<10} {word:<9} {part['problem']}".rstrip())
    if not all(part["ready"] for part in parts.values()):
        raise typer.Exit(EXIT_FOUND)


def doctor(directory: Directory = BOX_DIRECTORY, json_output: Json = False) -> None:
    """Looks at the machine, the set-up and the box; changes nothing. Exit code 1 when something is wrong."""
    from provisioning.lite.doctor import examine

    findings = examine(directory)
    if json_output:
        _print([{"subject": f.subject, "good": f.good, "seen": f.seen, "remedy": f.remedy} for f in findings])
    else:
        for finding in findings:
            _line(f"  {'good ' if finding.good else 'WRONG'} {finding.subject}: {finding.seen}")
            if finding.remedy:
                _line(f"        {finding.remedy}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(EXIT_FOUND)


def demo(
    directory: Directory = BOX_DIRECTORY,
    port_base: PortBase = None,
    caller: Annotated[
        Path | None, typer.Option("--caller", help="Your own recording, WAV, 8 or 16 kHz, instead of ours.")
    ] = None,
    calls: Annotated[int, typer.Option("--calls", min=1, help="So many calls at once.")] = 1,
    engines: Annotated[
        str, typer.Option("--engines", help="lite, or real: Triton with NeMo, vLLM and Coqui.")
    ] = "lite",
    console: Annotated[bool, typer.Option(help="Open the console after the call.")] = True,
    json_output: Json = False,
) -> None:
    """Starts the box, places a real call, prints the dialogue, and leaves the box running."""
    from provisioning.demo import run

    if engines not in ("lite", "real"):
        raise InvalidInput(f"There are no engines {engines!r}.", field="engines", remedy="Known: lite, real.")
    box = _box(directory, port_base, engines)
    code = run(box, caller=caller, calls=calls, json_output=json_output, console=console)
    if code:
        raise typer.Exit(code)
