"""`appliance recording`: the recordings of the box, for its operator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import typer

from appliance.clients.object_store import ObjectStore
from appliance.database.engine import create_engine
from appliance.recordings.export import Exported, Exporter, ListedRecording
from appliance.security.keys import KeyRing
from appliance.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The recordings of the calls.")


@app.command()
def export(
    call_id: UUID = typer.Argument(help="The call's identifier."),
    output: Path | None = typer.Option(None, "-o", "--output", help="The file; else CALL_ID.wav here."),
    attempt: int | None = typer.Option(
        None, min=1, help="Which agent's, if one was lost in the call; else the last."
    ),
) -> None:
    """Writes the recording of a call as a WAV: left the caller, right the agent.

    Exit codes: 1 unknown call, not stored, wrong key or altered; 2 used wrongly; 3 store or database away.
    """
    path = output if output is not None else Path(f"{call_id}.wav")

    async def work() -> Exported:
        async with _exporter() as exporter:
            return await exporter.export(call_id, path, attempt=attempt)

    done = asyncio.run(work())
    typer.echo(f"{done.path}: {done.seconds:.1f} s, left the caller, right the agent")


@app.command("list")
def list_newest(
    limit: int = typer.Option(20, min=1, max=1000, help="How many."),
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Shows the newest recordings."""

    async def work() -> list[ListedRecording]:
        async with _exporter() as exporter:
            return list(await exporter.newest(limit))

    found = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in found], default=str))
        return
    typer.echo(f"{'call':36}  {'attempt':>7}  {'state':8}  {'seconds':>8}  {'bytes':>10}  begun (UTC)")
    for row in found:
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        size = "" if row.size_bytes is None else str(row.size_bytes)
        typer.echo(
            f"{row.call_id}  {row.attempt:7}  {row.state:8}  {seconds:>8}  {size:>10}  "
            f"{row.created_at:%Y-%m-%d %H:%M:%S}"
        )


@asynccontextmanager
async def _exporter() -> AsyncGenerator[Exporter]:
    settings = load_settings()
    keys = KeyRing.from_settings(settings.security)
    application = create_engine(settings.database, "app")
    router = create_engine(settings.database, "router")
    store = ObjectStore(settings.object_store)
    try:
        yield Exporter(application, router, keys, store)
    finally:
        await store.close()
        await router.dispose()
        await application.dispose()
