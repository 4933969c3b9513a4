"""Runs the tests: `python -m tests.run [pytest's arguments]`.

First pass: everything in one process, unit, integration, acceptance. Second pass, when a few have failed:
those alone, in a fresh process with fresh servers. What passes then is named FLAKY, loudly, and does not fail
the run; what fails twice does. Whatever happens, every server that a test started is ended.

The last line is the verdict: `N passed, N failed`. Exit codes: 0 good, 1 failed, 2 used wrongly,
130 interrupted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests import outcomes

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("TRUNKLINE_TEST_RESULTS", REPOSITORY / "var" / "test-results"))
TEST_DIRECTORY = REPOSITORY / "var" / f"test-{os.environ.get('TRUNKLINE_TEST_PORT', '18000')}"
FOLDERS = ("tests/unit", "tests/integration", "tests/acceptance")
MOST_TO_REPEAT = 15
LOG_LINES = 20
PASS_SECONDS = float(os.environ.get("TRUNKLINE_TEST_SECONDS", "2400"))
_PR_SET_CHILD_SUBREAPER = 36
_NO_TESTS, _USAGE = 5, 4


class Interrupted(Exception):  # noqa: N818
    """A person or the system wants the run to end."""


def _paths(arguments: list[str]) -> list[str]:
    """The folders in their order, unless the arguments name tests."""
    named = any((REPOSITORY / word.split("::")[0]).exists() for word in arguments if not word.startswith("-"))
    return [] if named else [folder for folder in FOLDERS if (REPOSITORY / folder).is_dir()]


def _become_reaper() -> None:
    """Orphans below this process become its children (Linux): so a server that a test left behind is found,
    whatever it did to detach itself."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _collect(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Waits for pytest, and collects every orphan that ends meanwhile. None when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return process.returncode
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        if pid == 0:
            time.sleep(0.1)
    return None


def _end_servers() -> None:
    """Ends everything that is still below this process."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = psutil.Process().children(recursive=True)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=15)


def one_pass(name: str, arguments: list[str], seconds: float) -> tuple[int, dict[str, str]]:
    """One pytest process. Returns its exit code (negative: a signal) and the outcome of each test."""
    file = RESULTS / f"{name}.outcomes"
    file.unlink(missing_ok=True)
    environment = {**os.environ, outcomes.VARIABLE: str(file)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.outcomes", "--continue-on-collection-errors"]
    command += [f"--rootdir={REPOSITORY}", "-c", str(REPOSITORY / "pyproject.toml")]
    command += ["--durations=25", "--durations-min=1", f"--junitxml={RESULTS / name}.xml", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL)
    try:
        code = _collect(process, seconds)
        if code is None:
            sys.stdout.write(f"\nThe tests did not end within {seconds:.0f} s; they are ended now.\n")
            code = _end(process)
    except (KeyboardInterrupt, Interrupted):
        _end(process)
        raise
    finally:
        _end_servers()
        _keep_logs(name)
    return code, outcomes.read(file)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Lets pytest tear its fixtures down, for a while."""
    process.send_signal(signal.SIGINT)
    code = _collect(process, seconds=90)
    if code is None:
        process.kill()
        code = _collect(process, seconds=10)
    return -signal.SIGKILL if code is None else code


def _keep_logs(name: str) -> None:
    """The next pass begins with an empty directory."""
    logs = TEST_DIRECTORY / "log"
    if logs.is_dir():
        shutil.copytree(logs, RESULTS / f"{name}-logs", dirs_exist_ok=True)


def _show_logs(name: str) -> None:
    """The end of each part's log: where the run took place nobody may be able to look."""
    for log in sorted((RESULTS / f"{name}-logs").glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        sys.stdout.write(f"\n--- the end of {log.name} ---\n")
        sys.stdout.write("".join(f"{line[:300]}\n" for line in lines))


def _unfinished(seen: dict[str, str]) -> list[str]:
    return [test for test, outcome in seen.items() if outcome == "collected"]


def _failed(seen: dict[str, str]) -> list[str]:
    return [test for test, outcome in seen.items() if outcome == "failed"]


def _verdict(seen: dict[str, str], flaky: list[str]) -> int:
    failed = _failed(seen) + _unfinished(seen)
    passed = sum(outcome == "passed" for outcome in seen.values())
    skipped = sum(outcome == "skipped" for outcome in seen.values())
    if skipped:
        sys.stdout.write(f"{skipped} skipped\n")
    if flaky:
        sys.stdout.write("\n" + "!" * 100 + "\n")
        for test in flaky:
            sys.stdout.write(f"FLAKY  {test}  failed once and passed in a fresh process: mend it\n")
        sys.stdout.write("!" * 100 + "\n")
    for test in failed:
        sys.stdout.write(f"FAILED {test}\n")
    summary = f"{passed} passed, {len(failed)} failed\n"
    (RESULTS / "summary.txt").write_text(summary, encoding="utf-8")
    sys.stdout.write(summary)
    sys.stdout.flush()
    return 0 if passed and not failed else 1


def run(arguments: list[str]) -> int:
    """Both passes and the verdict."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    code, seen = one_pass("first", [*_paths(arguments), *arguments], PASS_SECONDS)
    if code in (_USAGE, _NO_TESTS) and not seen:
        sys.stdout.write("No test was run.\n")
        return 2
    # An error outside of every file has no name that could be run again.
    again = [test for test in _failed(seen) + _unfinished(seen) if ".py" in test]
    flaky: list[str] = []
    last = "first"
    if again and len(_failed(seen)) <= MOST_TO_REPEAT:
        sys.stdout.write(f"\n{len(again)} not passed; they run once more, with fresh servers.\n\n")
        sys.stdout.flush()
        listed = RESULTS / "again.txt"
        listed.write_text("".join(f"{test}\n" for test in again), encoding="utf-8")
        time.sleep(1.0)  # ports of what was just ended
        last = "second"
        code, second = one_pass(last, [f"@{listed}"], PASS_SECONDS / 2)
        flaky = [
            test for test in again if second.get(test, "failed") != "failed" and second[test] != "collected"
        ]
        seen |= {test: second[test] for test in flaky}
    if any(test not in flaky for test in again):
        _show_logs(last)
    if code not in (0, 1):  # a native library, perhaps; the outcomes are known all the same
        sys.stdout.write(f"\npytest itself ended with {code}.\n")
    return _verdict(seen, flaky)


def _interrupt(_number: int, _frame: object) -> None:
    raise Interrupted


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell starts its background jobs with SIGINT ignored, and pytest would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _become_reaper()
    try:
        return run(sys.argv[1:])
    except (KeyboardInterrupt, Interrupted):
        sys.stdout.write("\nInterrupted; every server has been stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
