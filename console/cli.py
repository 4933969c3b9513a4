"""`appliance console`: the console's own commands on the box."""

from __future__ import annotations

import asyncio
import sys

import typer

from appliance.audit import service as audit
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.settings import Settings, load_settings
from console.identity.emergency import ADDRESS_SECONDS, emergency_actor, make_address
from console.web.cookies import Cookies

app = typer.Typer(no_args_is_help=True, help="The console's own commands on the box.")


@app.callback()
def main() -> None:
    """Keeps `emergency` a subcommand although it is alone."""


@app.command()
def emergency(
    by: str = typer.Option(..., "--by", help="Your name, as the audit log will show it."),
    reason: str = typer.Option(..., "--reason", help="Why the sign-in service cannot be used."),
) -> None:
    """Prints an address that lets somebody in once within 15 minutes, without Keycloak.

    Exit codes: 2 used wrongly; 3 the database is away (without it nobody can be let in).
    """
    settings = load_settings()
    cookies = Cookies(settings.console.cookie_key.reveal(), secure=settings.console.secure)
    address, token_id = make_address(
        settings.console.url, cookies, by=by.strip()[:100], reason=reason.strip()[:500]
    )
    asyncio.run(_record(settings, by, reason, token_id))
    sys.stdout.write(f"{address}\n")
    sys.stderr.write(f"Good once, for {ADDRESS_SECONDS // 60} minutes. It is in the audit log of the box.\n")


async def _record(settings: Settings, by: str, reason: str, token_id: str) -> None:
    engine = create_engine(settings.database, "app")
    try:
        async with UnitOfWork(engine, None) as uow:
            await audit.record(
                uow,
                emergency_actor(by, None),
                "emergency.offered",
                f"emergency:{token_id}",
                after={"reason": reason},
            )
    finally:
        await engine.dispose()
