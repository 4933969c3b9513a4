"""The environments of the real engines: locked with hashes, made once, made anew when the lock changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioning.lite.cache import REPOSITORY
from provisioning.setup import engines
from provisioning.setup.lock import commands

NAMES = [environment.name for environment in engines.ENVIRONMENTS]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_a_hash_and_no_host_is_named(name: str) -> None:
    text = (REPOSITORY / "lock" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in text


def test_speech_and_language_share_one_build_of_torch() -> None:
    """uv links the same unpacked files into both: two builds would take 4 GB more."""
    versions = {
        re.search(r"^torch==(\S+)", (REPOSITORY / "lock" / f"{name}.txt").read_text(), re.MULTILINE)[1]  # type: ignore[index]
        for name in ("speech", "language")
    }
    assert len(versions) == 1


def test_each_environment_is_made_by_make_lock() -> None:
    known = commands(REPOSITORY)
    assert set(known) == {"core", *NAMES}
    for name in NAMES:
        assert (REPOSITORY / known[name][-1]).is_file()


def test_a_changed_lock_makes_the_environment_anew(tmp_path: Path) -> None:
    environment = engines.EngineEnvironment("tiny", "nothing", 1)
    (tmp_path / "lock").mkdir()
    lock = tmp_path / "lock" / "tiny.txt"
    lock.write_text("a==1\n")
    cache = tmp_path / "cache"
    step = engines.step(environment, tmp_path, cache, tmp_path / "log")
    assert not step.done()
    folder = engines.folder_of("tiny", cache)
    folder.mkdir(parents=True)
    (folder / "trunkline-stamp.json").write_text(engines.stamp(tmp_path, cache, environment))
    assert step.done()
    lock.write_text("a==2\n")
    assert not step.done()


def test_a_package_is_found_under_the_name_that_it_calls_itself(tmp_path: Path) -> None:
    environment = engines.EngineEnvironment("tiny", "nothing", 1, {"vllm": "0.1+cpu"})
    engines.write_metadata(tmp_path, environment)
    (found,) = tmp_path.rglob("METADATA")
    assert found.parent.name == "vllm-0.1+cpu.dist-info"
    assert "Name: vllm\nVersion: 0.1+cpu\n" in found.read_text()


def test_only_the_missing_environments_count_for_the_disk(tmp_path: Path) -> None:
    wanted = sum(environment.disk_gib for environment in engines.ENVIRONMENTS) * engines.GIB
    assert engines.missing_bytes(REPOSITORY, tmp_path) == wanted
    first = engines.ENVIRONMENTS[0]
    folder = engines.folder_of(first.name, tmp_path)
    folder.mkdir(parents=True)
    (folder / "trunkline-stamp.json").write_text(engines.stamp(REPOSITORY, tmp_path, first))
    assert engines.missing_bytes(REPOSITORY, tmp_path) == wanted - first.disk_gib * engines.GIB
