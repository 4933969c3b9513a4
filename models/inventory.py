"""The accelerators of a box: read from `nvidia-smi`, or declared for a box that is not here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import InvalidInput, Unavailable

_TIMEOUT_SECONDS = 15
_MIG_LINE = re.compile(
    r"^\s+MIG\s+(?P<profile>\S+)\s+Device\s+\d+:\s+\(UUID:\s*(?P<uuid>MIG-[0-9a-fA-F-]+)\)"
)
_GPU_LINE = re.compile(r"^GPU\s+(?P<index>\d+):")
_MIG_MEMORY = re.compile(r"(?P<gb>\d+)gb")


class Slice(BaseModel):
    """A MIG slice: a part of a GPU with memory of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    profile: str
    memory_mib: int = Field(gt=0)
    uuid: str = ""


class Gpu(BaseModel):
    """One GPU; with slices, models go onto those and never onto the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    index: int = Field(ge=0)
    name: str
    memory_mib: int = Field(gt=0)
    slices: tuple[Slice, ...] = ()


class Inventory(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = "this box"
    gpus: tuple[Gpu, ...]
    main_memory_mib: int = Field(default=0, ge=0)


def load_inventory(file: Path) -> Inventory:
    """A declared inventory. Raises InvalidInput naming the key that is wrong."""
    try:
        inventory = Inventory.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not YAML.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{file.name}, {key}: {first['msg']}.", field=key) from error
    indices = [gpu.index for gpu in inventory.gpus]
    if len(set(indices)) != len(indices):
        raise InvalidInput(f"{file.name} names a GPU's index twice.", field="gpus")
    for gpu in inventory.gpus:
        if sum(part.memory_mib for part in gpu.slices) > gpu.memory_mib:
            raise InvalidInput(
                f"{file.name}: the slices of GPU {gpu.index} are larger than it is.", field="gpus"
            )
    return inventory


def parse_nvidia_smi(csv: str, listing: str) -> Inventory:
    """From `--query-gpu=index,name,memory.total --format=csv,noheader,nounits` and from `-L`, which names the
    MIG slices. A slice's memory is the number in its profile's name, in GB."""
    slices: dict[int, list[Slice]] = {}
    current = -1
    for line in listing.splitlines():
        if gpu := _GPU_LINE.match(line):
            current = int(gpu["index"])
        elif (mig := _MIG_LINE.match(line)) and (size := _MIG_MEMORY.search(mig["profile"])):
            memory = int(size["gb"]) * 1000 * 1000 * 1000 // (1024 * 1024)
            slices.setdefault(current, []).append(
                Slice(profile=mig["profile"], memory_mib=memory, uuid=mig["uuid"])
            )
    gpus: list[Gpu] = []
    for line in csv.splitlines():
        if not line.strip():
            continue
        try:
            index, name, memory = (part.strip() for part in line.split(","))
            gpus.append(
                Gpu(
                    index=int(index),
                    name=name,
                    memory_mib=int(memory),
                    slices=tuple(slices.get(int(index), ())),
                )
            )
        except ValueError as error:
            raise Unavailable(f"nvidia-smi said what is not understood: {line.strip()!r}.") from error
    return Inventory(gpus=tuple(gpus))


def read_inventory() -> Inventory:
    """The GPUs of this machine. Raises Unavailable where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise Unavailable(
            "This machine has no nvidia-smi.", remedy="Declare the box in a file and name it by --inventory."
        )
    try:
        query = [program, "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
        csv = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
        listing = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("nvidia-smi does not answer.", remedy="Check the driver.") from error
    return parse_nvidia_smi(csv.stdout, listing.stdout)
