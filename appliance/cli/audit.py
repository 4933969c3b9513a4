"""`appliance audit`: the audit log, for the box's operator."""

from __future__ import annotations

import asyncio

import typer

from appliance.audit.chains import verify_all
from appliance.audit.service import Verification
from appliance.audit.signing import HeadSigner
from appliance.database.engine import create_engine
from appliance.settings import Settings, load_settings

EXIT_FOUND = 1
app = typer.Typer(no_args_is_help=True, help="The audit log: who did what on this box.")


@app.callback()
def main() -> None:
    """Keeps `verify` a subcommand although it is alone."""


@app.command()
def verify() -> None:
    """Follows every chain, and compares it with the heads that were signed.

    Exit codes: 1 a chain was touched (all are looked at); 2 used wrongly; 3 the database is away.
    """
    results = asyncio.run(_verify(load_settings()))
    width = max(len(name) for name, _ in results)
    for name, result in results:
        state = (
            "whole" if result.flaw is None else f"TOUCHED at {result.flaw.sequence}: {result.flaw.problem}"
        )
        signed = (
            f"signed up to {result.signed_to} at {result.signed_at:%Y-%m-%d %H:%M:%S} UTC"
            if result.signed_at is not None
            else "not signed yet"
        )
        typer.echo(f"{name:{width}}  {result.entries:>7} entries  {signed:46}  {state}")
    if not all(result.whole for _, result in results):
        raise typer.Exit(EXIT_FOUND)


async def _verify(settings: Settings) -> list[tuple[str, Verification]]:
    signer = HeadSigner.from_settings(settings.security)
    application = create_engine(settings.database, "app")
    router = create_engine(settings.database, "router")
    try:
        return await verify_all(router, application, signer)
    finally:
        await router.dispose()
        await application.dispose()


if __name__ == "__main__":
    app()
