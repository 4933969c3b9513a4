"""A support bundle of a box of which nothing runs: what is in it, what is not, and what the manifest says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import typer
from typer.testing import CliRunner

from appliance.box import support_archive, support_facts
from appliance.box.support_archive import Sources
from appliance.box.support_bundle import make
from appliance.errors import NotFound
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import SECRETS, read_secret, write_settings
from provisioning.support_bundle import support_bundle

AT = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
IN_PLAIN = "pa55-in-the-Settings"
OVERRIDES = {
    "language.base_url": f"http://engine:{IN_PLAIN}@127.0.0.1:9/v1",
    "site_name": "Call +49 30 1234567",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a box whose logs hold every secret, as a careless part would have written them."""
    write_settings(tmp_path, Ports(30000), OVERRIDES)
    (tmp_path / "log").mkdir()
    lines = [f"connect with {form} now" for secret in _secrets(tmp_path) for form in _forms(secret)]
    for part in ("bridge", "worker"):
        (tmp_path / "log" / f"{part}.log").write_text(
            "\n".join([*lines, "caller +49 30 7654321", "the end", ""])
        )
    return tmp_path


def _secrets(folder: Path) -> list[str]:
    return [*(read_secret(folder, name) for name in SECRETS), IN_PLAIN]


def _forms(secret: str) -> list[str]:
    return [secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), secret.encode().hex()]


def _made(sources: Sources) -> tuple[dict[str, bytes], bytes]:
    """The files by name, and the bytes of the whole archive, unpacked."""
    target = io.BytesIO()
    asyncio.run(make(sources, target, AT))
    return _files(target.getvalue())


def _files(content: bytes) -> tuple[dict[str, bytes], bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive.getmembers():
            folder, _, name = member.name.partition("/")
            assert folder.startswith("trunkline-support-2")
            file = archive.extractfile(member)
            assert file is not None
            files[name] = file.read()
    return files, b"\n".join(files.values())


def _sources(folder: Path, **more: Any) -> Sources:
    return Sources.of_file(folder / "settings.yaml", "a test", log_dirs=(folder / "log",), **more)


def _without(content: bytes, secrets: list[str]) -> None:
    assert len(secrets) == len(SECRETS) + 1
    for secret in secrets:
        for form in _forms(secret):
            assert form.encode() not in content


def test_no_secret_is_in_it(folder: Path) -> None:
    files, content = _made(_sources(folder))
    _without(content, _secrets(folder))
    assert b"7654321" not in content
    assert b"1234567" not in content
    settings = json.loads(files["settings.json"])
    assert settings["language"]["base_url"] == "http://[secret]@127.0.0.1:9/v1"
    assert settings["database"]["owner_password"]["state"] == "there, mode 0600, not empty"
    assert files["log/bridge.log"].decode().endswith("caller [number]\nthe end\n")


def test_the_manifest_names_every_file_and_what_was_not_read(folder: Path) -> None:
    files, _ = _made(_sources(folder))
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["made_at"] == "2026-11-22T06:30:00+00:00"
    assert manifest["made_by"] == "a test"
    assert {each["name"]: each["sha256"] for each in manifest["files"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert {each["name"]: each["bytes"] for each in manifest["files"]} == {
        name: len(content) for name, content in files.items()
    }
    not_read = manifest["not_read"]
    assert "The database does not answer" in not_read["database.json"]
    assert {"versions.json: asterisk", "versions.json: redis", "versions.json: installed"} <= not_read.keys()
    assert set(files) == {
        *("README.txt", "versions.json", "health.json", "settings.json", "machine.json"),
        *("log/bridge.log", "log/worker.log"),
    }
    assert not any(part["good"] for part in json.loads(files["health.json"]))
    versions = json.loads(files["versions.json"])
    assert versions["python_packages"]["litestar"]
    assert versions["trunkline"]
    assert json.loads(files["machine.json"])["disk"]["spool"]["free"] > 0
    assert b"no personal data" in files["README.txt"]


def test_a_document_that_cannot_be_made_is_named(folder: Path) -> None:
    def broken() -> None:
        raise OSError(f"no {read_secret(folder, 'box_key')}")

    files, content = _made(_sources(folder, further={"doctor.json": broken, "other.json": lambda: [1]}))
    assert json.loads(files["other.json"]) == [1]
    assert json.loads(files["manifest.json"])["not_read"]["doctor.json"] == "OSError: no [secret]"
    _without(content, _secrets(folder))


@pytest.mark.parametrize(
    "text", ["profile: lite\nrooms: {api_secret: in-the-file-itself}\n", "{not yaml", ""]
)
def test_damaged_settings_do_not_hinder_it(folder: Path, text: str) -> None:
    (folder / "settings.yaml").write_text(text)
    files, content = _made(_sources(folder, secret_dirs=(folder / "secrets",)))
    secrets = [read_secret(folder, name) for name in SECRETS]
    for each in [*secrets, "in-the-file-itself"]:
        assert each.encode() not in content
    not_read = json.loads(files["manifest.json"])["not_read"]
    assert "settings.yaml" in not_read["settings.json"]
    assert {"health.json", "database.json"} <= not_read.keys()
    assert "log/worker.log" in files


def test_without_a_word_about_the_secrets_the_logs_stay_here(folder: Path) -> None:
    (folder / "settings.yaml").write_text("{not yaml")
    files, content = _made(_sources(folder))
    assert not any(name.startswith("log/") for name in files)
    assert "secrets" in json.loads(files["manifest.json"])["not_read"]["log/"]
    _without(content, _secrets(folder))


def test_a_log_ends_with_whole_lines_of_before_the_rotation_too(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    (tmp_path / "part.log.1").write_text("".join(f"old {number}\n" for number in range(100)))
    log.write_text("new 1\nnew 2\n")
    assert support_facts.ending(log, 30) == ("old 98\nold 99\nnew 1\nnew 2\n", True)
    assert support_facts.ending(log, 8) == ("new 2\n", True)
    (tmp_path / "part.log.1").unlink()
    assert support_facts.ending(log, 12) == ("new 1\nnew 2\n", False)


def test_its_size_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_facts, "MOST_LOGS", 3)
    for number in range(5):
        (folder / "log" / f"a{number}.log").write_text("x\n" * support_facts.LOG_BYTES)
    files, _ = _made(_sources(folder))
    logs = {name: content for name, content in files.items() if name.startswith("log/")}
    assert list(logs) == ["log/a0.log", "log/a1.log", "log/a2.log"]
    assert all(len(content) <= support_facts.LOG_BYTES for content in logs.values())
    manifest = json.loads(files["manifest.json"])
    assert {each["name"] for each in manifest["files"] if each["cut"]} == set(logs)
    assert {"log/a3.log", "log/a4.log", "log/bridge.log", "log/worker.log"} <= manifest["not_read"].keys()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    app = typer.Typer()
    app.command()(support_bundle)
    return app


def test_the_command_writes_it_of_a_box_that_is_down(
    folder: Path, command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "for-support.tar.gz"
    done = CliRunner().invoke(command, ["--directory", str(folder), "--to", str(target)])
    assert done.exit_code == 0, done.output
    assert "not read: database.json: The database does not answer" in done.output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".*.new")) == []
    files, content = _files(target.read_bytes())
    assert {"doctor.json", "log/worker.log"} <= files.keys()
    assert json.loads(files["manifest.json"])["format"] == support_archive.FORMAT
    _without(content, _secrets(folder))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(folder / "settings.yaml"))
    assert CliRunner().invoke(command, ["--to", str(target)]).exit_code == 0


def test_the_command_says_when_there_is_no_box(command: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command, ["--directory", str(tmp_path / "nowhere"), "--to", str(tmp_path / "x")]
    )
    assert isinstance(done.exception, NotFound)
    assert not (tmp_path / "x").exists()
