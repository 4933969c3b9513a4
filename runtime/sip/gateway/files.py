"""Files that another process reads: replaced in one step, and only when they differ."""

from __future__ import annotations

import os
from pathlib import Path

_MODE = 0o640
"""The folder's set-group-id bit gives the file to the group by which the gateway reads it."""


def replace_if_changed(path: Path, text: str) -> bool:
    """Writes the text unless the file holds it; True when it was written. Raises OSError."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return True
