"""vLLM with the chat model that knows its calls, and with one of random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.lite.box import Box
from provisioning.lite.engines import interpreter, manifest_file
from tests.engines.conftest import FIRST_PORT, real_box
from tests.fixtures.box import KEEP, REPOSITORY, TEST_PORT

APPLIANCE = Path(sys.executable).with_name("appliance")


def make_random_model(folder: Path) -> None:
    """In the language environment; seconds."""
    quiet = {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        [interpreter("language"), "-m", "tests.models.chat.make", folder, "--random"],
        cwd=REPOSITORY,
        env={**os.environ, **quiet},
        check=True,
        capture_output=True,
        timeout=280,
    )


def add(profile: str, folder: Path, manifest: Path) -> subprocess.CompletedProcess[str]:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    command = [APPLIANCE, "models", "add", profile, folder, "--manifest", manifest]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def language_box(engines_box: Box) -> Box:
    """vLLM serves the tiny chat model; the scripted engine stands beside it."""
    engines_box.start("dialogue", "language")
    return engines_box


@pytest.fixture(scope="session")
def _random_box() -> Iterator[Box]:
    directory = REPOSITORY / "var" / f"test-{TEST_PORT}-random"
    box = real_box(directory, FIRST_PORT + 400)
    if not manifest_file(directory).exists():
        make_random_model(directory / "random-weights")
        add("demo-chat", directory / "random-weights", manifest_file(directory))
    try:
        yield box
    finally:
        if not KEEP:
            box.stop_all()


@pytest.fixture
def random_box(_random_box: Box) -> Box:
    """vLLM serves a model with random weights: it says anything at all. A test may end it."""
    _random_box.start("dialogue", "language")
    return _random_box
