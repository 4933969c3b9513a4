"""Weights are checked and hashed when they are added, and proved afterwards."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Conflict, IntegrityError, InvalidInput, NotFound, TrunklineError
from models.formats import FORMATS
from models.manifest import Manifest, add, load_catalog, load_manifest, save_manifest, verify

CATALOG = load_catalog()
PARAKEET = CATALOG["parakeet-tdt-0.6b-v3"]


def nemo(path: Path, target: str = PARAKEET.architectures[0]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("model_config.yaml", f"target: {target}\n".encode()),
            ("model_weights.ckpt", b"\0" * 64),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def safetensors(content: bytes = b"\0" * 16, stated: int = 16) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, stated]}}).encode()
    return struct.pack("<Q", len(header)) + header + content


def language_model(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"], **config}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors())
    return folder


def test_what_was_added_is_written_read_and_proved(tmp_path: Path):
    manifest = add(Manifest(), PARAKEET, nemo(tmp_path / "p.nemo"))
    save_manifest(tmp_path / "m" / "manifest.yaml", manifest)
    again = load_manifest(tmp_path / "m" / "manifest.yaml")
    assert again == manifest
    verify(again.named(PARAKEET.name))


def test_a_changed_a_shorter_and_a_missing_file_are_found(tmp_path: Path):
    file = nemo(tmp_path / "p.nemo")
    model = add(Manifest(), PARAKEET, file).models[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    with pytest.raises(IntegrityError, match="changed"):
        verify(model)
    file.write_bytes(whole[:-1])
    with pytest.raises(IntegrityError, match="size"):
        verify(model)
    file.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        verify(model)


def test_a_language_model_is_taken_whole(tmp_path: Path):
    manifest = add(Manifest(), CATALOG["qwen2.5-7b-instruct"], language_model(tmp_path / "q"))
    assert {file.path for file in manifest.models[0].files} == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    }


def test_weights_that_do_not_fit_are_refused_with_a_sentence(tmp_path: Path):
    qwen = CATALOG["qwen2.5-7b-instruct"]
    with pytest.raises(InvalidInput, match="wants"):
        add(Manifest(), PARAKEET, nemo(tmp_path / "other.nemo", "some.other.Model"))
    (tmp_path / "text.nemo").write_text("not an archive")
    with pytest.raises(InvalidInput, match=r"not a \.nemo archive"):
        add(Manifest(), PARAKEET, tmp_path / "text.nemo")
    own_code = language_model(tmp_path / "code", auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(InvalidInput, match="run code"):
        add(Manifest(), qwen, own_code)
    short = language_model(tmp_path / "short")
    (short / "model.safetensors").write_bytes(safetensors(stated=1600))
    with pytest.raises(InvalidInput, match="cut short"):
        add(Manifest(), qwen, short)
    parts = language_model(tmp_path / "parts")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (parts / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidInput, match="lacks model-2"):
        add(Manifest(), qwen, parts)
    pickled = language_model(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="pickled"):
        add(Manifest(), qwen, pickled)


def test_a_licence_that_forbids_use_is_refused_unless_the_site_says_so(tmp_path: Path):
    folder = tmp_path / "xtts"
    folder.mkdir()
    (folder / "config.json").write_text('{"model": "xtts"}')
    with zipfile.ZipFile(folder / "model.pth", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02}.")
    xtts = CATALOG["xtts-v2"]
    with pytest.raises(InvalidInput, match="commercially") as refused:
        add(Manifest(), xtts, folder)
    assert refused.value.code == "licence_refused"
    assert add(Manifest(), xtts, folder, allow_non_commercial=True).models[0].profile == "xtts-v2"


def test_a_name_is_given_once_and_an_unknown_one_is_told(tmp_path: Path):
    manifest = add(Manifest(), PARAKEET, nemo(tmp_path / "p.nemo"))
    with pytest.raises(Conflict):
        add(manifest, PARAKEET, tmp_path / "p.nemo")
    with pytest.raises(NotFound, match="parakeet"):
        manifest.named("other")


def test_a_file_that_is_not_there_is_an_error_and_never_a_download(tmp_path: Path):
    with pytest.raises(InvalidInput, match="does not exist"):
        add(Manifest(), PARAKEET, tmp_path / "nvidia" / "parakeet-tdt-0.6b-v3")


@given(content=st.binary(max_size=300))
def test_no_bytes_break_a_check(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    folder = tmp_path_factory.mktemp("garbage")
    (folder / "a.nemo").write_bytes(content)
    (folder / "config.json").write_bytes(content)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "model.pth").write_bytes(content)
    (folder / "tokenizer.json").write_text("{}")
    for check in FORMATS.values():
        with pytest.raises(TrunklineError):
            check(folder)


def test_a_changed_conversation_template_is_found(tmp_path: Path):
    folder = language_model(tmp_path / "q")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    model = add(Manifest(), CATALOG["qwen2.5-7b-instruct"], folder).models[0]
    (folder / "chat_template.jinja").write_text("{{ messagez }}")
    with pytest.raises(IntegrityError, match=r"chat_template\.jinja was changed"):
        verify(model)
