"""An added model, proved and ready to be loaded: what an engine gets of the manifest.

An engine opens its model by role, gets the folder and the proved files, and looks nowhere else. Imports
nothing heavy, so that it may run inside any engine's environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.errors import InvalidInput, NotFound
from models.manifest import (
    AddedModel,
    Manifest,
    Profile,
    Role,
    check_licence,
    load_catalog,
    load_manifest,
    verify,
)

Kind = Literal["nemo-streaming", "nemo-offline", "vits", "xtts", "vllm", "onnx"]


@dataclass(frozen=True)
class OpenedModel:
    """Weights whose every file is the one that was added, under a licence that the site's policy allows."""

    entry: AddedModel
    profile: Profile
    kind: Kind

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def folder(self) -> Path:
        return self.entry.folder

    @property
    def paths(self) -> tuple[Path, ...]:
        """The model's files, absolute."""
        return tuple(self.entry.folder / file.path for file in self.entry.files)

    @property
    def sha256(self) -> str:
        """One hash for the whole model; reports show it."""
        return self.entry.sha256


def open_model(
    manifest_file: Path, role: Role, name: str = "", *, on_bytes: Callable[[int], None] = lambda _: None
) -> OpenedModel:
    """The added model `name` of a role; without a name the one that was added last.

    Raises NotFound when the site has added none, InvalidInput for a model of another role, one that the
    catalogue does not know or whose licence the site did not answer for, IntegrityError for a file that is
    missing or not the one that was added. Reads every file once, to hash it.
    """
    entry, profile = find_model(load_manifest(manifest_file), role, name)
    check_licence(profile, entry.allowed_non_commercial)
    verify(entry, on_bytes)
    return OpenedModel(entry, profile, kind_of(profile, entry.architecture))


def find_model(manifest: Manifest, role: Role, name: str = "") -> tuple[AddedModel, Profile]:
    """The entry and its profile, unproved. Raises NotFound and InvalidInput as `open_model` does."""
    catalog = load_catalog()
    if name:
        entry = manifest.named(name)
        profile = catalog.get(entry.profile)
        if profile is None:
            raise InvalidInput(f"{name} was added for {entry.profile}, which the catalogue does not know.")
        if profile.role != role:
            raise InvalidInput(f"{name} is for {profile.role}, not for {role}.", field="name")
        return entry, profile
    for entry in reversed(manifest.models):
        profile = catalog.get(entry.profile)
        if profile is not None and profile.role == role:
            return entry, profile
    raise NotFound(
        f"No model for {role} was added.", remedy="Add weights by `appliance models add PROFILE PATH`."
    )


def kind_of(profile: Profile, architecture: str = "") -> Kind:
    """Which engine serves it, and how."""
    if profile.engine == "nemo":
        return "nemo-offline" if profile.decoding == "offline-segment" else "nemo-streaming"
    if profile.engine == "coqui":
        return "xtts" if (architecture or profile.architectures[0]) == "xtts" else "vits"
    return profile.engine
