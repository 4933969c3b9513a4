"""The models of a box: what it knows how to serve (the catalogue) and which weights the site has added.

The catalogue is shipped (`models/catalog.yaml`). The manifest belongs to the site: one YAML file that names
each added model's files with their hashes, so that `verify` can prove that what is served is what was added.
Nothing here, and no engine, ever fetches weights: a file that is missing is an error that says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import Conflict, IntegrityError, InvalidInput, NotFound
from models.formats import FORMATS, Format

Role = Literal["stt", "llm", "tts", "vad", "eot", "embed", "ner"]
Engine = Literal["nemo", "vllm", "coqui", "onnx"]
_T = TypeVar("_T", bound=BaseModel)

CATALOG_FILE = Path(__file__).with_name("catalog.yaml")
_READ_BYTES = 8 * 1024 * 1024


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Entry):
    id: str
    commercial: bool
    """Whether the licence allows the box's ordinary use, which is commercial."""
    attribution: str = ""


class Memory(_Entry):
    load_mib: int = Field(ge=0)
    per_stream_mib: int = Field(ge=0)


class Profile(_Entry):
    """A model that the box knows how to serve."""

    name: str
    role: Role
    engine: Engine
    format: Format
    architectures: tuple[str, ...]
    licence: Licence
    languages: tuple[str, ...]
    memory: Memory
    measured: str
    """`estimate`, or chip and date of the measurement."""
    decoding: Literal["cache-aware-streaming", "offline-segment"] | None = None
    sample_rate_hz: int | None = None
    context_tokens: int | None = None
    kv_bytes_per_token: int = 0
    options: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """What this model wants of its engine beyond the ordinary; the engine says which keys it knows."""

    def memory_mib(self, streams: int) -> int:
        """What the model needs on a device to serve so many calls at once, in MiB."""
        cache = self.kv_bytes_per_token * (self.context_tokens or 0) * streams
        return self.memory.load_mib + self.memory.per_stream_mib * streams + -(-cache // (1024 * 1024))


class WeightFile(_Entry):
    """One file of a model; `path` is relative to the model's folder."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Capacity(_Entry):
    """What the weights were seen to carry here: calls at once within the budget, on which device."""

    streams: int = Field(ge=1)
    device: str
    memory_mib: int = Field(ge=0)
    """At that many calls, on the device."""
    measured_at: datetime


class AddedModel(_Entry):
    """Weights that the site has added for a profile."""

    name: str
    profile: str
    folder: Path
    added_at: datetime
    files: tuple[WeightFile, ...] = Field(min_length=1)
    architecture: str = ""
    """What the weights say they are; one of the profile's."""
    allowed_non_commercial: bool = False
    """The site answered for the licence when it added the weights."""
    capacity: Capacity | None = None
    """Measured by the site; without it the profile's figures are what is known."""

    @property
    def sha256(self) -> str:
        """One hash for the whole model: over the names and hashes of its files."""
        lines = sorted(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class Manifest(_Entry):
    models: tuple[AddedModel, ...] = ()

    def named(self, name: str) -> AddedModel:
        """Raises NotFound with the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models) or "none yet"
        raise NotFound(f"No model {name} was added.", remedy=f"Added: {known}.")


def _parsed(kind: type[_T], file: Path, tree: object) -> _T:
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{file.name}, {key}: {first['msg']}.", field=key) from error


def _tree(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read.", remedy="Check the path and its rights.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not YAML.", remedy=str(error)) from error


class _Catalog(_Entry):
    profiles: tuple[Profile, ...]


def load_catalog(file: Path = CATALOG_FILE) -> dict[str, Profile]:
    """The profiles by name. Raises InvalidInput for a file that is wrong or names one twice."""
    catalog = _parsed(_Catalog, file, _tree(file))
    profiles = {profile.name: profile for profile in catalog.profiles}
    if len(profiles) != len(catalog.profiles):
        raise InvalidInput(f"{file.name} names a profile twice.")
    return profiles


def load_manifest(file: Path) -> Manifest:
    """The site's manifest; empty when there is no file yet."""
    if not file.exists():
        return Manifest()
    return _parsed(Manifest, file, _tree(file) or {})


def save_manifest(file: Path, manifest: Manifest) -> None:
    """Replaces the manifest in one step, so that a crash leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    os.replace(draft, file)


def hash_file(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> WeightFile:
    """Hashes one file, telling `on_bytes` of each piece read. Its `path` is the bare name."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            digest.update(piece)
            size += len(piece)
            on_bytes(len(piece))
    return WeightFile(path=path.name, sha256=digest.hexdigest(), size_bytes=size)


def add(
    manifest: Manifest,
    profile: Profile,
    path: Path,
    *,
    now: datetime | None = None,
    name: str | None = None,
    allow_non_commercial: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """A manifest with the weights at `path` (a file or a folder) added for a profile.

    Raises NotAllowed-like InvalidInput for a licence that the site's policy forbids or a file that is not the
    profile's format or architecture, Conflict for a name already taken. Nothing is copied or changed.
    """
    name = name or profile.name
    if any(model.name == name for model in manifest.models):
        raise Conflict(f"A model {name} was added already.", remedy="Choose another --name.")
    check_licence(profile, allow_non_commercial)
    path = path.resolve()
    if not path.exists():
        raise InvalidInput(f"{path} does not exist.", remedy="Weights are taken from a path on this box.")
    checked = FORMATS[profile.format](path)
    if not set(checked.architectures) & set(profile.architectures):
        raise InvalidInput(
            f"{path.name} is {', '.join(checked.architectures) or 'of no stated architecture'}, "
            f"and {profile.name} wants {' or '.join(profile.architectures)}.",
            code="architecture_refused",
        )
    folder = path if path.is_dir() else path.parent
    files = tuple(
        hash_file(file, on_bytes).model_copy(update={"path": file.relative_to(folder).as_posix()})
        for file in checked.files
    )
    added = AddedModel(
        name=name,
        profile=profile.name,
        folder=folder,
        added_at=now or datetime.now(UTC),
        files=files,
        architecture=next(one for one in checked.architectures if one in profile.architectures),
        allowed_non_commercial=allow_non_commercial,
    )
    return Manifest(models=(*manifest.models, added))


def check_licence(profile: Profile, allowed_non_commercial: bool) -> None:
    """Raises InvalidInput for a licence that forbids the box's ordinary use, unless the site answered."""
    if not profile.licence.commercial and not allowed_non_commercial:
        raise InvalidInput(
            f"{profile.name} may not be used commercially ({profile.licence.id}).",
            remedy="If the site has its own licence, add --allow-non-commercial.",
            code="licence_refused",
        )


def with_capacity(manifest: Manifest, name: str, capacity: Capacity) -> Manifest:
    """The manifest with what was measured of one model. Raises NotFound."""
    measured = manifest.named(name).model_copy(update={"capacity": capacity})
    return Manifest(models=tuple(measured if model.name == name else model for model in manifest.models))


def verify(model: AddedModel, on_bytes: Callable[[int], None] = lambda _: None) -> None:
    """Proves that the files are those that were added. Raises IntegrityError naming the first that is not."""
    for stated in model.files:
        file = model.folder / stated.path
        if not file.is_file():
            raise IntegrityError(f"{model.name}: {stated.path} is missing.", remedy="Put the file back.")
        if file.stat().st_size != stated.size_bytes:
            raise IntegrityError(f"{model.name}: {stated.path} has another size than when it was added.")
        if hash_file(file, on_bytes).sha256 != stated.sha256:
            raise IntegrityError(f"{model.name}: {stated.path} was changed after it was added.")
