"""The launch profiles: one for each class of device (`profiles.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from appliance.errors import InvalidInput

PROFILES_FILE = Path(__file__).with_name("profiles.yaml")


class LaunchProfile(BaseModel):
    """How vLLM runs on one class of device. Memory in MiB, lengths in tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    device: Literal["cpu", "cuda"]
    least_mib: int = Field(ge=0)
    """The smallest device that it fits on."""
    max_model_len: int = Field(gt=0)
    max_num_seqs: int = Field(gt=0)
    """Answers that are written at once; more wait."""
    max_num_batched_tokens: int = Field(gt=0)
    """A step's tokens: a long prompt is read in pieces of it between the words of the others."""
    waiting: int = Field(ge=0)
    live_reserve: int = Field(ge=0)
    max_tokens: int = Field(gt=0)
    """The longest answer that anybody may ask for."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, lt=1)
    enforce_eager: bool = False
    kv_cache_gib: int = 1
    """For the CPU alone; on a GPU the cache takes what the utilization leaves."""

    @property
    def max_requests(self) -> int:
        return self.max_num_seqs + self.waiting


def load_profiles(file: Path = PROFILES_FILE) -> tuple[LaunchProfile, ...]:
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(LaunchProfile.model_validate(entry) for entry in tree["profiles"])


def choose(
    profiles: tuple[LaunchProfile, ...], device: str, memory_mib: int, *, named: str = ""
) -> LaunchProfile:
    """The profile for a device (`cpu`, `cuda`, `cuda:0`) with so much memory, or the one that the site names.

    Raises InvalidInput when none fits.
    """
    kind = device.split(":")[0]
    if named:
        for profile in profiles:
            if profile.name == named:
                return profile
        known = ", ".join(profile.name for profile in profiles)
        raise InvalidInput(f"There is no launch profile {named}.", field="launch_profile", remedy=known)
    fitting = [p for p in profiles if p.device == kind and p.least_mib <= memory_mib]
    if not fitting:
        smallest = min((p.least_mib for p in profiles if p.device == kind), default=0)
        raise InvalidInput(
            f"No launch profile fits a {kind} device with {memory_mib} MiB.",
            field="device",
            remedy=f"The smallest needs {smallest} MiB; use `device: cpu`, or a larger card.",
        )
    return max(fitting, key=lambda profile: profile.least_mib)
