"""Where what the set-up built lies: `var/cache` of the checkout, or what TRUNKLINE_CACHE names."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.errors import Unavailable

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE_VARIABLE = "TRUNKLINE_CACHE"
BOX_DIRECTORY = REPOSITORY / "var" / "box"
"""Where `make demo` and the command line keep their box, unless told otherwise."""


def cache_directory() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).resolve() if named else REPOSITORY / "var" / "cache"


def go_binary(name: str) -> Path:
    """A server built by the set-up. Raises Unavailable when it is not there."""
    path = cache_directory() / "go" / "bin" / name
    if not path.exists():
        raise Unavailable(f"{name} is not installed.", remedy="Run `make setup`.")
    return path
