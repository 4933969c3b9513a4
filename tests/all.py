"""Runs groups of tests, one after the other: `python -m tests.all [GROUP ...]`, all when none is named.

Calls are sensitive to what runs beside them on a small machine, so nothing does. A group that fails does not
keep the next from running. The last line is the sum: `N passed, N failed`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "var" / "test-results"
GROUPS = {"test": RESULTS, "test-engines": RESULTS / "engines", "test-console": RESULTS / "console"}
_SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")


def _count(code: int, summary: Path) -> tuple[int, int]:
    """Passed and failed; a group that failed without saying where counts as one failure."""
    found = _SUMMARY.search(summary.read_text(encoding="utf-8")) if summary.exists() else None
    passed, failed = (int(found[1]), int(found[2])) if found else (0, 0)
    return passed, max(failed, 1) if code else failed


def run(groups: list[str]) -> int:
    if unknown := [name for name in groups if name not in GROUPS]:
        sys.stderr.write(f"There is no group {unknown[0]}. Known: {', '.join(GROUPS)}.\n")
        return 2
    passed = failed = 0
    for target in groups or list(GROUPS):
        summary = GROUPS[target] / "summary.txt"
        summary.unlink(missing_ok=True)
        began = time.monotonic()
        code = subprocess.run(
            ["make", "--no-print-directory", target], cwd=REPOSITORY, check=False
        ).returncode
        good, bad = _count(code, summary)
        sys.stdout.write(
            f"\nmake {target}: {good} passed, {bad} failed, {time.monotonic() - began:.0f} s\n\n"
        )
        sys.stdout.flush()
        passed, failed = passed + good, failed + bad
    verdict = f"{passed} passed, {failed} failed\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "all.txt").write_text(verdict, encoding="utf-8")
    sys.stdout.write(verdict)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
