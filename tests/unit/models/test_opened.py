"""An engine gets a proved model of its role, and never another."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from appliance.errors import IntegrityError, InvalidInput, NotFound
from models.manifest import Manifest, add, load_catalog, save_manifest
from models.opened import open_model

CATALOG = load_catalog()


def voice(folder: Path, model: str = "vits") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model": model}))
    with zipfile.ZipFile(folder / "model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    return folder


def test_the_last_added_model_of_the_role_is_opened_with_its_kind_and_hash(tmp_path: Path):
    manifest = add(Manifest(), CATALOG["vits"], voice(tmp_path / "a"), name="first")
    manifest = add(manifest, CATALOG["demo-voice"], voice(tmp_path / "b"), name="second")
    save_manifest(tmp_path / "manifest.yaml", manifest)
    opened = open_model(tmp_path / "manifest.yaml", "tts")
    assert (opened.name, opened.kind, opened.folder) == ("second", "vits", tmp_path / "b")
    assert {path.name for path in opened.paths} == {"config.json", "model.pth"}
    first = open_model(tmp_path / "manifest.yaml", "tts", "first")
    assert first.name == "first"
    assert first.sha256 == opened.sha256, "the same files are the same model, wherever they lie"


def test_a_role_without_a_model_and_a_model_of_another_role_are_told(tmp_path: Path):
    file = tmp_path / "manifest.yaml"
    with pytest.raises(NotFound, match="stt"):
        open_model(file, "stt")
    save_manifest(file, add(Manifest(), CATALOG["vits"], voice(tmp_path / "a")))
    with pytest.raises(NotFound, match="stt"):
        open_model(file, "stt")
    with pytest.raises(InvalidInput, match="not for llm"):
        open_model(file, "llm", "vits")
    with pytest.raises(NotFound, match="nobody"):
        open_model(file, "tts", "nobody")


def test_a_missing_and_a_changed_file_are_never_served(tmp_path: Path):
    folder = voice(tmp_path / "a")
    save_manifest(tmp_path / "manifest.yaml", add(Manifest(), CATALOG["vits"], folder))
    (folder / "config.json").write_text(json.dumps({"model": "VITS"}))
    with pytest.raises(IntegrityError, match="changed"):
        open_model(tmp_path / "manifest.yaml", "tts")
    (folder / "model.pth").unlink()
    (folder / "config.json").write_text(json.dumps({"model": "vits"}))
    with pytest.raises(IntegrityError, match=r"model\.pth is missing"):
        open_model(tmp_path / "manifest.yaml", "tts")


def test_a_non_commercial_voice_is_refused_until_the_site_answers_for_it(tmp_path: Path):
    folder = voice(tmp_path / "x", "xtts")
    with pytest.raises(InvalidInput, match="CPML"):
        add(Manifest(), CATALOG["xtts-v2"], folder)
    added = add(Manifest(), CATALOG["xtts-v2"], folder, allow_non_commercial=True)
    save_manifest(tmp_path / "manifest.yaml", added)
    assert open_model(tmp_path / "manifest.yaml", "tts").kind == "xtts"
    slipped = added.models[0].model_copy(update={"allowed_non_commercial": False})
    save_manifest(tmp_path / "manifest.yaml", Manifest(models=(slipped,)))
    with pytest.raises(InvalidInput, match="CPML"):
        open_model(tmp_path / "manifest.yaml", "tts")


def test_a_voice_that_wants_code_of_its_own_is_refused(tmp_path: Path):
    folder = voice(tmp_path / "a")
    (folder / "config.json").write_text(
        json.dumps({"model": "vits", "characters": {"characters_class": "os.path.Evil"}})
    )
    with pytest.raises(InvalidInput, match="characters_class"):
        add(Manifest(), CATALOG["vits"], folder)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._mark}",)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_checkpoint_with_code_in_it_is_refused_and_runs_nothing(tmp_path: Path, protocol: int):
    folder, mark = voice(tmp_path / "a"), tmp_path / "was-run"
    with zipfile.ZipFile(folder / "model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model": _Evil(mark)}, protocol=protocol))
    with pytest.raises(InvalidInput, match=r"posix\.system|unnamed"):
        add(Manifest(), CATALOG["vits"], folder)
    assert not mark.exists()


def test_a_checkpoint_that_was_cut_short_is_refused(tmp_path: Path):
    folder = voice(tmp_path / "a")
    whole = (folder / "model.pth").read_bytes()
    for content in (whole[:-10], b"", b"PK\3\4" + b"\0" * 200):
        (folder / "model.pth").write_bytes(content)
        with pytest.raises(InvalidInput, match="checkpoint"):
            add(Manifest(), CATALOG["vits"], folder)


def test_what_was_measured_is_kept_with_the_model(tmp_path: Path):
    from datetime import UTC, datetime

    from models.manifest import Capacity, load_manifest, with_capacity

    manifest = add(Manifest(), CATALOG["vits"], voice(tmp_path / "a"))
    capacity = Capacity(streams=12, device="one card", memory_mib=900, measured_at=datetime.now(UTC))
    save_manifest(tmp_path / "manifest.yaml", with_capacity(manifest, "vits", capacity))
    assert load_manifest(tmp_path / "manifest.yaml").models[0].capacity == capacity
    assert open_model(tmp_path / "manifest.yaml", "tts").entry.capacity == capacity
    with pytest.raises(NotFound):
        with_capacity(manifest, "nobody", capacity)
