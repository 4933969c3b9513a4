"""The gateway's root filesystem, as a step of the set-up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provisioning.lite.asterisk_root import RootInstallError, install_root, is_installed
from provisioning.setup.step import SetupError, Step

ATTEMPTS = 2
_REMEDY = "Is the Debian mirror reachable? Then run `make setup` again."


def step(cache: Path) -> Step:
    def run(progress: Callable[[str], None]) -> None:
        for attempts_left in range(ATTEMPTS - 1, -1, -1):
            try:
                install_root(cache, lambda text: progress(text.removeprefix("Asterisk: ")))
            except RootInstallError as error:
                if not attempts_left:
                    raise SetupError(str(error), remedy=_REMEDY) from error
                progress(f"once more, because: {error}")
            else:
                return

    return Step(
        "Asterisk",
        done=lambda: is_installed(cache),
        run=run,
        needs=("Debian packages",),
    )
