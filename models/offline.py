"""No engine ever reaches for a hub: what each process of an engine sets before it imports anything heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

OFFLINE: Mapping[str, str] = MappingProxyType(
    {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "WANDB_MODE": "disabled",
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }
)
"""Tells the engines' libraries to stay on the box; merged into the environment of subprocesses."""


def set_offline() -> None:
    """Sets `OFFLINE` for this process; to be called before the first import of torch, NeMo or TTS."""
    os.environ.update(OFFLINE)
