"""What a folder or file of weights says about itself, read without running any of it.

Weights come from outside, and Python's pickle runs code when it is read. So a format's check reads only
containers and JSON or YAML; the engines load tensors with weights-only readers.
"""

from __future__ import annotations

import json
import pickletools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from appliance.errors import InvalidInput

Format = Literal["nemo", "safetensors", "coqui"]

_MAX_CONFIG_BYTES = 16 * 1024 * 1024
_MAX_HEADER_BYTES = 100 * 1024 * 1024
_KNOWN_PACKAGES = frozenset({"torch", "collections", "numpy", "_codecs", "TTS", "coqpit", "trainer"})
"""What a checkpoint of coqui-tts may name; the engine reads it with torch's weights-only reader besides."""


@dataclass(frozen=True)
class Checked:
    """What was found: the files that belong to the model, and its architectures by their own names."""

    files: tuple[Path, ...]
    architectures: tuple[str, ...]


def _wrong(path: Path, what: str) -> InvalidInput:
    return InvalidInput(f"{path.name} {what}", code="format_refused")


def _json(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise _wrong(path, "is too large for a configuration.")
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _wrong(path, "is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, "is not JSON.") from error
    if not isinstance(tree, dict):
        raise _wrong(path, "is not a JSON object.")
    return cast("Mapping[str, Any]", tree)


def check_nemo(path: Path) -> Checked:
    """A `.nemo` archive: a tar with weights and a `model_config.yaml` that names its class as `target`."""
    if path.is_dir():
        found = sorted(path.glob("*.nemo"))
        if len(found) != 1:
            raise _wrong(path, f"holds {len(found)} .nemo files; name one.")
        path = found[0]
    try:
        with tarfile.open(path) as archive:
            names = {member.name.removeprefix("./"): member for member in archive}
            config = names.get("model_config.yaml")
            if config is None or not config.isfile() or config.size > _MAX_CONFIG_BYTES:
                raise _wrong(path, "has no model_config.yaml.")
            if not any(name.endswith((".ckpt", ".safetensors")) for name in names):
                raise _wrong(path, "has no weights.")
            stream = archive.extractfile(config)
            assert stream is not None
            tree = yaml.safe_load(stream.read())
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _wrong(path, "is not a .nemo archive.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(path, "has a model_config.yaml that is not YAML.") from error
    target = cast("Mapping[str, Any]", tree).get("target") if isinstance(tree, dict) else None
    if not isinstance(target, str):
        raise _wrong(path, "does not say which model it is.")
    return Checked((path,), (target,))


def _check_safetensors(path: Path) -> None:
    """The header: eight bytes of length, then JSON; every tensor's bytes lie inside the file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise _wrong(path, "is not a safetensors file, or was cut short.")
        try:
            tree = json.loads(stream.read(length))
        except (ValueError, RecursionError) as error:
            raise _wrong(path, "has a broken header.") from error
    if not isinstance(tree, dict):
        raise _wrong(path, "has a broken header.")
    for name, tensor in cast("Mapping[str, Any]", tree).items():
        if name == "__metadata__":
            continue
        try:
            first, last = tensor["data_offsets"]
            fits = 0 <= int(first) <= int(last) <= size - 8 - length
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise _wrong(path, "was cut short, or its header is wrong.")


def check_safetensors(path: Path) -> Checked:
    """A folder as vLLM takes it: `config.json` with `architectures`, a tokenizer, `*.safetensors` whole."""
    if not path.is_dir():
        raise _wrong(path, "is not a folder; name the folder that holds config.json.")
    config = _json(path / "config.json")
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise _wrong(path, "has no .safetensors files; pickled weights are not taken.")
    index = path / "model.safetensors.index.json"
    if index.exists():
        named = set(map(str, dict(_json(index).get("weight_map") or {}).values()))
        missing = sorted(named - {file.name for file in weights})
        if missing:
            raise _wrong(path, f"lacks {missing[0]} of {len(named)} parts.")
    for file in weights:
        _check_safetensors(file)
    if not any((path / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise _wrong(path, "has no tokenizer.")
    if config.get("auto_map"):
        raise _wrong(path, "wants to run code of its own (auto_map); that is not taken.")
    stated = config.get("architectures")
    architectures = tuple(map(str, stated)) if isinstance(stated, list) else ()
    # The template of the conversation counts too: changed unseen, it would change every answer.
    kinds = {".json", ".safetensors", ".model", ".txt", ".jinja"}
    files = [file for file in sorted(path.iterdir()) if file.suffix in kinds]
    return Checked(tuple(files), architectures)


def _check_checkpoint(path: Path) -> None:
    """A zip of tensors whose pickled index names nothing but tensors and the configuration's classes."""
    try:
        with zipfile.ZipFile(path) as archive:
            indexes = [name for name in archive.namelist() if name.endswith(".pkl")]
            for name in indexes:
                if archive.getinfo(name).file_size > _MAX_HEADER_BYTES:
                    raise _wrong(path, "has an index that is too large.")
                named = _named_in_pickle(archive.read(name))
                foreign = sorted(one for one in named if one.partition(".")[0] not in _KNOWN_PACKAGES)
                if foreign:
                    raise _wrong(path, f"wants to run {foreign[0][:60]}; that is not taken.")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise _wrong(path, "is not a checkpoint of tensors, or was cut short.") from error
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise _wrong(path, "has an index that cannot be read.") from error
    if not indexes:
        raise _wrong(path, "is not a checkpoint of tensors, or was cut short.")


def _named_in_pickle(content: bytes) -> set[str]:
    """Everything that a pickle would import, by reading its operations and doing none of them."""
    found: set[str] = set()
    strings: list[str] = []
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in {"GLOBAL", "INST"}:
            found.add(str(argument).replace(" ", "."))
        elif operation.name == "STACK_GLOBAL":
            found.add(".".join(strings[-2:]) if len(strings) > 1 else "something unnamed")
        elif "UNICODE" in operation.name or "STRING" in operation.name:
            strings.append(str(argument))
        elif operation.name.startswith("EXT"):
            found.add("an extension")
    return found


def check_coqui(path: Path) -> Checked:
    """A folder as coqui-tts takes it: `config.json` with `model`, and checkpoints: zips of tensors."""
    if not path.is_dir():
        raise _wrong(path, "is not a folder; name the folder that holds config.json.")
    config = _json(path / "config.json")
    weights = sorted(path.glob("*.pth"))
    if not weights:
        raise _wrong(path, "has no .pth checkpoint.")
    for file in weights:
        _check_checkpoint(file)
    characters = config.get("characters")
    named = characters.get("characters_class") if isinstance(characters, dict) else None
    if isinstance(named, str) and not named.startswith("TTS."):
        raise _wrong(path, "names a class of its own (characters_class); that is not taken.")
    model = config.get("model")
    files = [file for file in sorted(path.iterdir()) if file.suffix in {".json", ".pth"}]
    return Checked(tuple(files), (model,) if isinstance(model, str) else ())


FORMATS: Mapping[Format, Callable[[Path], Checked]] = {
    "nemo": check_nemo,
    "safetensors": check_safetensors,
    "coqui": check_coqui,
}
