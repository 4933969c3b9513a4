"""Whatever an engine has started ends with it."""

from __future__ import annotations

import subprocess
import sys

import psutil

_WAIT = "import time; time.sleep(600)"
_CHILD = f"""
import subprocess, sys, time
core = subprocess.Popen([sys.executable, "-c", {_WAIT!r}], start_new_session=True)
print(core.pid, flush=True)
time.sleep(600)
"""
_LAUNCHER = f"""
import subprocess, sys
from models.processes import adopt_orphans, die_with_parent, end_descendants
adopt_orphans()
child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}], stdout=subprocess.PIPE, text=True,
                         preexec_fn=die_with_parent)
core = int(child.stdout.readline())
print(child.pid, core, flush=True)
sys.stdin.readline()
child.kill()
child.wait()
end_descendants()
print("over", flush=True)
sys.stdin.readline()
"""


def _ended(pid: int, seconds: float = 30.0) -> bool:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    _, alive = psutil.wait_procs([process], timeout=seconds)
    return not alive or alive[0].status() == psutil.STATUS_ZOMBIE


def _launcher() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_killed_childs_own_child_in_a_session_of_its_own_is_found_and_ended() -> None:
    with _launcher() as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        _child, core = map(int, launcher.stdout.readline().split())
        assert psutil.pid_exists(core)
        launcher.stdin.write("\n")
        launcher.stdin.flush()
        assert launcher.stdout.readline() == "over\n"
        assert _ended(core)


def test_a_child_ends_when_the_launcher_is_killed() -> None:
    with _launcher() as launcher:
        assert launcher.stdout is not None
        child, core = map(int, launcher.stdout.readline().split())
        try:
            launcher.kill()
            assert _ended(child)
        finally:
            if psutil.pid_exists(core):
                psutil.Process(core).kill()
