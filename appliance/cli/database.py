"""`appliance database`: the schema of the box's database."""

from __future__ import annotations

import typer

from appliance.cli import EXIT_FOUND
from appliance.database import migrate
from appliance.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The schema of the database.")


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
