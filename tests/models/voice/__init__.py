"""The tiny voice: a VITS with random weights that is built in seconds and speaks noise."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("TRUNKLINE_CACHE", REPOSITORY / "var" / "cache"))
PYTHON = CACHE / "engines" / "speech" / "bin" / "python"
_BUILD = Path(__file__).with_name("build.py")


def folder(kind: str = "vits") -> Path:
    """The tiny voice's folder, built when it is not there yet; its script's change builds it anew."""
    place = CACHE / "models" / f"demo-voice-{kind}-{_fingerprint()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "config.json").exists():
            subprocess.run([PYTHON, _BUILD, kind, place], cwd=REPOSITORY, check=True, timeout=600)
    return place


def _fingerprint() -> str:
    return hashlib.sha256(_BUILD.read_bytes()).hexdigest()[:12]
