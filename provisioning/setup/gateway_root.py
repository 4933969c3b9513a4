"""The gateway's root filesystem, as a step of the set-up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provisioning.lite.asterisk_root import RootInstallError, install_root
from provisioning.setup.step import SetupError, Step


def step(cache: Path) -> Step:
    def run(progress: Callable[[str], None]) -> None:
        try:
            install_root(cache, lambda text: progress(text.removeprefix("Asterisk: ")))
        except RootInstallError as error:
            raise SetupError(
                str(error), remedy="Is the Debian mirror reachable? Then run `make setup` again."
            ) from error

    return Step(
        "Asterisk",
        done=lambda: (cache / "asterisk-root" / "trunkline-root.json").exists(),
        run=run,
        needs=("Debian packages",),
    )
