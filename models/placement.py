"""Which model runs on which GPU or MIG slice. Pure: decides before anything starts, and refuses what does not
fit with what would make it fit.

A model lies whole on one device. Of each device a share stays free (`RESERVED_SHARE`) for the driver, CUDA
contexts and fragments. Models are tried from the largest down, each first on the device with most room, so
that speech and language get devices of their own where there are several; where that order does not fit, the
others are tried too, so a refusal means that no placement exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from appliance.errors import InvalidInput
from models.inventory import Inventory
from models.manifest import Profile

RESERVED_SHARE = 0.06


@dataclass(frozen=True)
class Device:
    """A whole GPU or one MIG slice, and what of it may be planned with."""

    id: str
    name: str
    usable_mib: int


@dataclass(frozen=True)
class Placed:
    profile: str
    role: str
    device: str
    memory_mib: int


@dataclass(frozen=True)
class Plan:
    """A placement that fits."""

    streams: int
    devices: tuple[Device, ...]
    placed: tuple[Placed, ...]

    def used_mib(self, device: Device) -> int:
        return sum(placed.memory_mib for placed in self.placed if placed.device == device.id)

    def to_json(self) -> dict[str, object]:
        return {
            "fits": True,
            "streams": self.streams,
            "devices": [
                {
                    "id": device.id,
                    "name": device.name,
                    "usable_mib": device.usable_mib,
                    "used_mib": self.used_mib(device),
                    "models": [
                        {"profile": placed.profile, "role": placed.role, "memory_mib": placed.memory_mib}
                        for placed in self.placed
                        if placed.device == device.id
                    ],
                }
                for device in self.devices
            ],
        }


@dataclass(frozen=True)
class Refusal:
    """Nothing fits: the model that found no place, what it lacks, and what would help."""

    model: str
    needs_mib: int
    largest_free_mib: int
    remedies: tuple[str, ...] = field(default=())

    @property
    def sentence(self) -> str:
        return (
            f"{self.model} needs {_gib(self.needs_mib)} and the most that is free on one device is "
            f"{_gib(self.largest_free_mib)}."
        )

    def to_json(self) -> dict[str, object]:
        return {
            "fits": False,
            "model": self.model,
            "needs_mib": self.needs_mib,
            "largest_free_mib": self.largest_free_mib,
            "detail": self.sentence,
            "remedies": list(self.remedies),
        }


def devices_of(inventory: Inventory) -> tuple[Device, ...]:
    """Whole GPUs, or the slices of those that are cut up."""
    found: list[Device] = []
    for gpu in inventory.gpus:
        if gpu.slices:
            for position, part in enumerate(gpu.slices):
                found.append(
                    Device(
                        f"gpu{gpu.index}.{position}", f"{gpu.name} {part.profile}", _usable(part.memory_mib)
                    )
                )
        else:
            found.append(Device(f"gpu{gpu.index}", gpu.name, _usable(gpu.memory_mib)))
    return tuple(found)


def plan(
    inventory: Inventory, profiles: Sequence[Profile], streams: int, *, catalog: Sequence[Profile] = ()
) -> Plan | Refusal:
    """Places the models for so many calls at once, or says why not. `catalog` is where smaller models of the
    same role are looked for when it says what would help."""
    if streams < 1:
        raise InvalidInput("A plan is for at least one call at once.", field="streams")
    if not profiles:
        raise InvalidInput("No model was named to place.", field="models")
    devices = devices_of(inventory)
    if not devices:
        raise InvalidInput("The inventory has no GPU.", remedy="The lite profile needs none.", field="gpus")
    placed = _place(devices, profiles, streams)
    if placed is not None:
        return Plan(streams, devices, placed)
    return _refuse(devices, profiles, streams, catalog)


def _usable(memory_mib: int) -> int:
    return int(memory_mib * (1 - RESERVED_SHARE))


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def _place(devices: Sequence[Device], profiles: Sequence[Profile], streams: int) -> tuple[Placed, ...] | None:
    order = sorted(profiles, key=lambda profile: profile.memory_mib(streams), reverse=True)
    free = {device.id: device.usable_mib for device in devices}
    chosen: list[Placed] = []

    def fill(position: int) -> bool:
        if position == len(order):
            return True
        profile = order[position]
        needs = profile.memory_mib(streams)
        for device in _candidates(free):
            if free[device] < needs:
                return False
            free[device] -= needs
            chosen.append(Placed(profile.name, profile.role, device, needs))
            if fill(position + 1):
                return True
            chosen.pop()
            free[device] += needs
        return False

    return tuple(chosen) if fill(0) else None


def _candidates(free: dict[str, int]) -> Iterator[str]:
    """Devices from the emptiest on; of those with equal room only the first, since they are alike."""
    seen: set[int] = set()
    for device, room in sorted(free.items(), key=lambda item: (-item[1], item[0])):
        if room not in seen:
            seen.add(room)
            yield device


def _refuse(
    devices: Sequence[Device], profiles: Sequence[Profile], streams: int, catalog: Sequence[Profile]
) -> Refusal:
    free = {device.id: device.usable_mib for device in devices}
    culprit = max(profiles, key=lambda profile: profile.memory_mib(streams))
    for profile in sorted(profiles, key=lambda profile: profile.memory_mib(streams), reverse=True):
        culprit = profile
        roomiest = next(_candidates(free))
        if free[roomiest] < profile.memory_mib(streams):
            break
        free[roomiest] -= profile.memory_mib(streams)
    return Refusal(
        model=culprit.name,
        needs_mib=culprit.memory_mib(streams),
        largest_free_mib=max(free.values()),
        remedies=tuple(_remedies(devices, profiles, streams, catalog))
        or ("No single change helps: take smaller models, or a box with more GPU memory.",),
    )


def _remedies(
    devices: Sequence[Device], profiles: Sequence[Profile], streams: int, catalog: Sequence[Profile]
) -> Iterator[str]:
    fewer = next((n for n in range(streams - 1, 0, -1) if _place(devices, profiles, n) is not None), None)
    if fewer is not None:
        yield f"Plan for {fewer} calls at once instead of {streams}."
    for position, profile in enumerate(profiles):
        others = [*profiles[:position], *profiles[position + 1 :]]
        smaller = [
            other
            for other in catalog
            if other.role == profile.role and other.memory_mib(streams) < profile.memory_mib(streams)
        ]
        for other in sorted(smaller, key=lambda one: one.memory_mib(streams), reverse=True):
            if _place(devices, [*others, other], streams) is not None:
                yield f"Take {other.name} instead of {profile.name}."
                break
    if removed := _fewest_removed(devices, profiles, streams):
        for those in removed:
            names, roles = " and ".join(one.name for one in those), " and ".join(one.role for one in those)
            yield f"Remove {names}, and serve {roles} from the CPU or another box."


def _fewest_removed(
    devices: Sequence[Device], profiles: Sequence[Profile], streams: int
) -> list[list[Profile]]:
    """Each smallest set of models without which the rest fits; none when not even one of them alone does."""
    for count in range(1, len(profiles)):
        found = [
            [profiles[position] for position in places]
            for places in combinations(range(len(profiles)), count)
            if _place(devices, [p for at, p in enumerate(profiles) if at not in places], streams) is not None
        ]
        if found:
            return found
    return []
