"""The `appliance` command.

Its subcommands are entry points of the group `trunkline.commands`, so that packages which this one may not
import can add theirs. Exit codes: 0 good, 1 found something, 2 used wrongly, 3 not possible now.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import typer

from appliance.errors import AtCapacity, InvalidInput, TrunklineError, Unavailable

EXIT_FOUND = 1
EXIT_USED_WRONGLY = 2
EXIT_NOT_POSSIBLE_NOW = 3


def build() -> typer.Typer:
    """The whole command with every installed subcommand."""
    app = typer.Typer(
        name="appliance",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Runs and inspects a Trunkline box.",
    )
    for point in sorted(entry_points(group="trunkline.commands"), key=lambda p: p.name):
        command = point.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=point.name)
        else:
            app.command(point.name)(command)
    return app


def exit_code(error: TrunklineError) -> int:
    if isinstance(error, InvalidInput):
        return EXIT_USED_WRONGLY
    if isinstance(error, Unavailable | AtCapacity):
        return EXIT_NOT_POSSIBLE_NOW
    return EXIT_FOUND


def main() -> None:
    try:
        build()()
    except TrunklineError as error:
        sys.stderr.write(f"appliance: {error}\n")
        sys.exit(exit_code(error))
