"""The real engines under a box; one vLLM serves the whole folder, and the demo after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.lite.box import Box
from tests.fixtures.box import KEEP, REPOSITORY, TEST_PORT

FIRST_PORT = TEST_PORT + 1200


def real_box(directory: Path, first_port: int) -> Box:
    """Prepared anew, unless the last run's is kept. A busy machine is no reason to take the fallback."""
    patient = {"language": {"first_token_timeout_seconds": 60.0, "hedge_after_seconds": 30.0}}
    box = Box(directory, first_port, engines="real", durable=False, overrides=patient)
    if not KEEP:
        box.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    box.prepare()
    return box


@pytest.fixture(scope="session")
def engines_box() -> Iterator[Box]:
    """A box with Triton, the voice and vLLM, none of them started yet."""
    box = real_box(REPOSITORY / "var" / f"test-{TEST_PORT}-engines", FIRST_PORT)
    try:
        yield box
    finally:
        if not KEEP:
            box.stop_all()


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the set-up keeps the environments."""
    return Path(os.environ.get("TRUNKLINE_CACHE", REPOSITORY / "var" / "cache"))
