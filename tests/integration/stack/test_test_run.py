"""The test driver: a test that fails once is named and repeated, one that fails twice fails the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PASSES = "def test_good():\n    pass\n"
FAILS = "def test_bad():\n    assert False\n"
FAILS_ONCE = """
from pathlib import Path

def test_once():
    flag = Path(__file__).with_name("flag")
    if not flag.exists():
        flag.touch()
        {end}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Inside the repository: pytest names a test by its path from there."""
    above = REPOSITORY / "var"
    above.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sample-", dir=above) as folder:
        yield Path(folder)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _run(folder: Path, source: str, *arguments: str) -> tuple[int, list[str]]:
    file = folder / "test_sample.py"
    file.write_text(source)
    result = subprocess.run(
        [sys.executable, "-m", "tests.run", *arguments, str(file)],
        cwd=REPOSITORY,
        env={**os.environ, "TRUNKLINE_TEST_RESULTS": str(folder / "results")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout.splitlines()


def test_good_ones_pass(folder: Path) -> None:
    code, lines = _run(folder, PASSES)
    assert (code, lines[-1]) == (0, "1 passed, 0 failed")


def test_one_that_fails_twice_fails_the_run(folder: Path) -> None:
    code, lines = _run(folder, PASSES + FAILS)
    assert (code, lines[-1]) == (1, "1 passed, 1 failed")
    assert not any(line.startswith("FLAKY") for line in lines)


@pytest.mark.parametrize("end", ["assert False", "import os; os.kill(os.getpid(), 9)"])
def test_one_bad_moment_is_named_and_survived(folder: Path, end: str) -> None:
    """A failed assertion, or the death of the whole process."""
    code, lines = _run(folder, PASSES + FAILS_ONCE.format(end=end))
    assert (code, lines[-1]) == (0, "2 passed, 0 failed")
    assert any(line.startswith("FLAKY") and "test_once" in line for line in lines)


def test_a_file_that_cannot_be_read_is_a_failure(folder: Path) -> None:
    code, lines = _run(folder, "import no_such_module_anywhere\n")
    assert (code, lines[-1]) == (1, "0 passed, 1 failed")


def test_no_test_at_all_is_not_a_success(folder: Path) -> None:
    code, _ = _run(folder, PASSES, "-k", "nothing_has_this_name")
    assert code == 2


def test_servers_that_a_test_forgot_are_ended(folder: Path) -> None:
    source = (
        "import subprocess, pathlib\n"
        "def test_forgets():\n"
        "    process = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    pathlib.Path(__file__).with_name('pid').write_text(str(process.pid))\n"
    )
    code, _ = _run(folder, source)
    assert code == 0
    assert not _alive(int((folder / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_every_server(folder: Path, number: signal.Signals) -> None:
    (folder / "test_sample.py").write_text(
        "import pathlib, subprocess, time\n"
        "def test_waits():\n"
        "    process = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    fresh = pathlib.Path(__file__).with_name('fresh')\n"
        "    fresh.write_text(str(process.pid))\n"
        "    fresh.rename(fresh.with_name('pid'))\n"
        "    time.sleep(600)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.run", str(folder / "test_sample.py")],
        cwd=REPOSITORY,
        env={**os.environ, "TRUNKLINE_TEST_RESULTS": str(folder / "results")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (folder / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        driver.send_signal(number)
        output, _ = driver.communicate(timeout=150)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 130
    assert output.splitlines()[-1] == "Interrupted; every server has been stopped."
    assert not _alive(int((folder / "pid").read_text()))
