"""`appliance database`: the schema of the box's database, and the keys in it."""

from __future__ import annotations

import asyncio

import typer

from appliance.cli import EXIT_FOUND
from appliance.database import migrate
from appliance.database.engine import create_engine
from appliance.organizations.service import rewrap_keys
from appliance.security.keys import KeyRing
from appliance.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The schema of the database, and the keys in it.")


@app.command()
def upgrade() -> None:
    """Brings the schema to the newest revision; changes nothing if it is there already."""
    settings = load_settings()
    before, _ = migrate.current(settings)
    migrate.upgrade(settings)
    after, _ = migrate.current(settings)
    typer.echo(f"{after}: up to date" if before == after else f"{before or 'empty'} -> {after}")


@app.command()
def current() -> None:
    """Says the revision of the database; exit code 1 if it is not the newest."""
    found, newest = migrate.current(load_settings())
    typer.echo(f"{found or 'empty'} (newest: {newest})")
    if found != newest:
        raise typer.Exit(EXIT_FOUND)


@app.command()
def rewrap() -> None:
    """After a new box key was put on top of its file: wraps the organizations' keys with it.

    Then the old key may leave the file. No recording is touched, however many there are.
    """
    settings = load_settings()
    keys = KeyRing.from_settings(settings.security)

    async def work() -> int:
        application = create_engine(settings.database, "app")
        router = create_engine(settings.database, "router")
        try:
            return await rewrap_keys(router, application, keys)
        finally:
            await router.dispose()
            await application.dispose()

    typer.echo(f"{asyncio.run(work())} keys wrapped anew")
