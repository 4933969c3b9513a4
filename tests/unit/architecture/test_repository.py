"""What holds for every tracked file."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
LONGEST_FILE = 400
# In two pieces, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "proxy.golang" + ".org",
    "sum.golang" + ".org",
    "deb.debian" + ".org",
    "registry.npm" + "js.org",
    "repo1.maven" + ".org",
    "repo.maven" + ".apache.org",
    "crates" + ".io",
    "docker" + ".io/",
]
FOREIGN_PATHS = re.compile(r"(?<![\w./-])/(?:work|root|home/\w+|Users/\w+)/[\w.-]+")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{20}")


@cache
def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.split("\0")
        return [REPOSITORY / name for name in names if name and (REPOSITORY / name).is_file()]
    ignored = {".git", ".venv", "var", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"}
    return [file for file in REPOSITORY.rglob("*") if file.is_file() and not ignored & set(file.parts)]


@cache
def texts() -> dict[str, str]:
    """Every tracked file that is text, by its path."""
    found: dict[str, str] = {}
    for file in tracked_files():
        try:
            found[str(file.relative_to(REPOSITORY))] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def test_no_registry_is_named() -> None:
    """Where packages come from is the machine's own setting."""
    wrong = [f"{name}: {host}" for name, text in texts().items() for host in REGISTRY_HOSTS if host in text]
    assert wrong == []


def test_no_path_of_somebodys_machine() -> None:
    wrong = [
        f"{name}: {found}"
        for name, text in texts().items()
        for found in FOREIGN_PATHS.findall(text)
        if name != "lock/requirements.txt"
    ]
    assert wrong == []


def test_no_secret() -> None:
    assert [name for name, text in texts().items() if PRIVATE_KEY.search(text)] == []


def test_a_file_has_one_subject() -> None:
    """Length is how one sees it from afar."""
    long = [
        f"{name}: {lines} lines"
        for name, text in texts().items()
        if name.endswith(".py") and (lines := text.count("\n")) > LONGEST_FILE
    ]
    assert long == []


def test_names_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [name for name in texts() if vague & {part.removesuffix(".py") for part in name.split("/")}] == []


def test_every_decision_has_its_number_and_title() -> None:
    files = sorted((REPOSITORY / "docs" / "adr").glob("*.md"))
    numbers = [file.name[:4] for file in files]
    assert numbers == sorted(set(numbers))
    for file in files:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", file.name), file.name
        assert file.read_text(encoding="utf-8").startswith("# "), file.name


def test_the_licence_is_apache() -> None:
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")


def test_the_lock_has_hashes() -> None:
    text = (REPOSITORY / "lock" / "requirements.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9][^=\s]*==.*(?:\n    --hash=.*)*", text, flags=re.MULTILINE)
    assert len(packages) > 50
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


@pytest.mark.parametrize(
    "target", ["help", "setup", "demo", "down", "test", "lint", "type", "fmt", "bench", "lock"]
)
def test_make_help_names_every_target(target: str) -> None:
    output = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert re.search(rf"^  make {target} +\S", output, flags=re.MULTILINE)
