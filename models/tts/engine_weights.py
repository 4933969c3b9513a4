"""What the engines of coqui-tts share: where the weights lie, what they hold, which library reads them."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import psutil
import torch  # pyright: ignore[reportMissingImports]

from appliance.errors import IntegrityError


def checkpoint(folder: Path) -> Path:
    """The one checkpoint of a folder. Raises IntegrityError when it is not clear which."""
    for name in ("model.pth", "best_model.pth", "model_file.pth"):
        if (folder / name).is_file():
            return folder / name
    found = [path for path in sorted(folder.glob("*.pth")) if not path.name.startswith("speaker")]
    if len(found) != 1:
        raise IntegrityError(f"{folder.name} has {len(found)} checkpoints; name one model.pth.")
    return found[0]


def memory_mib(device: str) -> float:
    """What torch holds on a CUDA device; what the process holds, on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device) / 2**20
    return psutil.Process(os.getpid()).memory_info().rss / 2**20


def library_version() -> str:
    return version("coqui-tts")
