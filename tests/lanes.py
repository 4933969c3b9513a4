"""Runs the tests in two lanes side by side: `python -m tests.lanes`.

Calls take their time whatever the machine can do, since people speak at their own pace. So the acceptance
tests have a lane of their own, with servers and ports of their own, while unit and integration tests run in
the other. Each lane is a `tests.run` of its own, second chance included. With arguments there is one lane.

In CI, whose machine is small, one lane runs after the other. The last line is the sum of both:
`N passed, N failed`. Exit codes as those of `tests.run`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.run import REPOSITORY, RESULTS

PORTS_APART = 2000
_FIRST_PORT = int(os.environ.get("TRUNKLINE_TEST_PORT", "18000"))
_SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")


@dataclass(frozen=True)
class Lane:
    """One `tests.run`: what it runs, and the first of its ports."""

    name: str
    folders: tuple[str, ...]
    port: int

    @property
    def results(self) -> Path:
        return RESULTS / self.name

    def start(self, output: int | None) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "TRUNKLINE_TEST_PORT": str(self.port),
            "TRUNKLINE_TEST_RESULTS": str(self.results),
        }
        command = [sys.executable, "-m", "tests.run", *self.folders]
        return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)

    def summary(self) -> tuple[int, int]:
        """Passed and failed; a lane that has not come to its end counts as one failure."""
        file = self.results / "summary.txt"
        found = _SUMMARY.search(file.read_text(encoding="utf-8")) if file.exists() else None
        return (int(found[1]), int(found[2])) if found else (0, 1)


PARTS = Lane("parts", ("tests/unit", "tests/integration"), _FIRST_PORT)
CALLS = Lane("calls", ("tests/acceptance",), _FIRST_PORT + PORTS_APART)


def run(*, side_by_side: bool) -> int:
    """Both lanes; the output of the calls is shown when the parts are done."""
    for lane in (PARTS, CALLS):
        lane.results.mkdir(parents=True, exist_ok=True)
        (lane.results / "summary.txt").unlink(missing_ok=True)
    log = RESULTS / "calls.log"
    running: list[subprocess.Popen[bytes]] = []
    ended_by: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        ended_by.append(number)
        for process in running:
            if process.poll() is None:
                process.send_signal(number)

    # A terminal's Ctrl-C reaches the lanes by itself; what reaches this process alone is passed on.
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with log.open("wb") as output:
        if side_by_side:
            running.append(CALLS.start(output.fileno()))
        running.append(PARTS.start(None))
        running[-1].wait()
        sys.stdout.write("\nThe other lane, real calls:\n\n")
        sys.stdout.flush()
        if not side_by_side and not ended_by:
            running.append(CALLS.start(None))
        codes = [process.wait() for process in running]
    sys.stdout.write(log.read_text(encoding="utf-8", errors="replace"))
    passed, failed = (sum(counts) for counts in zip(PARTS.summary(), CALLS.summary(), strict=True))
    summary = f"{passed} passed, {failed} failed\n"
    (RESULTS / "summary.txt").write_text(summary, encoding="utf-8")
    sys.stdout.write(f"\nBoth lanes:\n{summary}")
    sys.stdout.flush()
    return next((code for code in codes if code), 1 if failed else 0)


def main() -> int:
    arguments = sys.argv[1:]
    if arguments:
        return subprocess.call([sys.executable, "-m", "tests.run", *arguments], cwd=REPOSITORY)
    return run(side_by_side=not os.environ.get("CI"))


if __name__ == "__main__":
    sys.exit(main())
