"""The processes of an engine end with the one that started them, however it ends (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import signal

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 10.0


def die_with_parent() -> None:
    """For `preexec_fn`: the child is sent SIGTERM when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """From now on a process below this one whose parent ends becomes a child of this one, whatever process
    group or session it is in: `end_descendants` finds it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> None:
    """Kills whatever is still below this process. To be called when its own child has ended or must."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_END_SECONDS)
