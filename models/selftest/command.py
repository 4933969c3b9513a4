"""`appliance models selftest`: are the engines what they were? Once, or on a schedule."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from appliance.errors import TrunklineError
from appliance.settings import load_settings
from models.selftest.check import Engines, Report, check, record
from models.selftest.expectation import load_expectation, save_expectation

_FOLDER = "selftest"


def selftest(
    store: Annotated[
        bool, typer.Option("--record", help="Store what they say now as what is expected.")
    ] = False,
    any_answer: Annotated[
        bool, typer.Option("--any-answer", help="With --record: the language model need not repeat itself.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where the expectation lies; beside the manifest, if left out.")
    ] = None,
    voice: Annotated[str, typer.Option(help="With --record: a voice of the box.")] = "",
    language: Annotated[str, typer.Option(help="With --record: the sentence's language.")] = "en",
    every: Annotated[
        float, typer.Option(help="Repeat after so many seconds until stopped; 0 is once.", min=0)
    ] = 0,
    limit: Annotated[float, typer.Option(help="Seconds that an engine may take.", min=0.1, max=120)] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one line a round.")] = False,
) -> None:
    """A known sentence is recognised, spoken and answered, and compared with what is expected.

    Exit codes: 0 all as expected; 1 an engine says something else; 2 used wrongly, no expectation yet; 3 an
    engine does not answer.
    """
    settings = load_settings()
    if folder is None:
        manifest = settings.engines.manifest
        folder = (manifest.parent if manifest is not None else settings.sentences_dir) / _FOLDER

    async def work() -> Report | None:
        engines = Engines.of(settings, limit)
        try:
            if store:
                save_expectation(folder, *await record(engines, language, voice, same_answer=not any_answer))
                return None
            while True:
                report = await check(engines, *load_expectation(folder))
                _show(report, as_json=as_json)
                if not every:
                    return report
                await asyncio.sleep(every)
        finally:
            await engines.close()

    try:
        report = asyncio.run(work())
    except TrunklineError as error:
        if as_json:
            typer.echo(json.dumps({"good": False, "error": str(error), "code": error.code}))
        raise
    if report is None:
        typer.echo(f"Stored in {folder}.")
        return
    raise typer.Exit(report.exit_code)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    table = Table("engine", "", "seconds", "what")
    for result in report.results:
        state = "good" if result.good else ("wrong" if result.possible else "does not answer")
        table.add_row(result.part, state, f"{result.seconds:.2f}", result.detail)
    Console().print(table)
