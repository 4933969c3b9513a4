"""Who may import whom, and where the heavy libraries may be imported."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGES = ("appliance", "models", "runtime", "console", "provisioning")
GPU_LIBRARIES = {"torch", "torchaudio", "nemo", "vllm", "TTS", "transformers"}
INFERENCE_CLIENTS = {"tritonclient"}
LINTER = Path(sys.executable).parent / "lint-imports"


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_contracts_hold() -> None:
    result = _lint(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_forbidden_import_is_seen(tmp_path: Path) -> None:
    """The same contracts on a small tree in which the shared package imports another one."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    lines = ["[importlinter]", "root_packages =", *(f"    {name}" for name in contracts["root_packages"])]
    for number, contract in enumerate(contracts["contracts"]):
        lines.append(f"[importlinter:contract:{number}]")
        for key, value in contract.items():
            text = "\n    ".join(["", *value]) if isinstance(value, list) else str(value)
            lines.append(f"{key} = {text}")
    (tmp_path / ".importlinter").write_text("\n".join(lines))
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    clean = _lint(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr

    (tmp_path / "appliance" / "wrong.py").write_text("import runtime\n")
    (tmp_path / "models" / "wrong.py").write_text("import provisioning\n")
    broken = _lint(tmp_path)
    assert broken.returncode == 1
    assert "2 broken" in broken.stdout


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def _in_engine_environment(path: Path) -> bool:
    """Scripts that make the tiny models: started in an engine's environment, never imported by a test."""
    return path.parts[:2] == ("tests", "models")


def _may_be_heavy(path: Path) -> bool:
    if _in_engine_environment(path):
        return True
    if path.parts[0] == "models":
        return path.name == "engine.py" or path.parts[1] in ("training", "stt", "tts")
    return path.parts[:2] == ("appliance", "clients")


def test_gpu_libraries_stay_in_their_engines() -> None:
    """So every other test, and the whole lite profile, runs without them."""
    wrong = [
        f"{path}: {name}"
        for package in (*PACKAGES, "tests", "benchmarks")
        for file in sorted((REPOSITORY / package).rglob("*.py"))
        for path in [file.relative_to(REPOSITORY)]
        for name in _imports(file)
        if (name in GPU_LIBRARIES and not _may_be_heavy(path))
        or (
            name in INFERENCE_CLIENTS
            and path.parts[0] not in ("models", "tests")
            and path.parts[:2] != ("appliance", "clients")
        )
    ]
    assert wrong == []


def test_the_bootstrap_needs_nothing_installed() -> None:
    """`make setup` runs before the environment exists: isolated, without any site-packages."""
    result = subprocess.run(
        [sys.executable, "-S", "-E", "-m", "provisioning.setup", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def _requirement_name(requirement: str) -> str:
    return re.split(r"[\[>=<; ]", requirement)[0].lower().replace("_", "-")


def test_what_is_imported_is_declared() -> None:
    """A package that comes along with another one may leave with it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    runs = {_requirement_name(line) for line in project["project"]["dependencies"]}
    develops = runs | {_requirement_name(line) for line in project["dependency-groups"]["dev"]}
    distributions = packages_distributions()
    wrong = set[str]()
    for package in (*PACKAGES, "tests", "benchmarks"):
        declared = develops if package in ("tests", "benchmarks") else runs
        for file in (REPOSITORY / package).rglob("*.py"):
            for name in _imports(file):
                known = name in sys.stdlib_module_names or name in (*PACKAGES, "tests", "benchmarks")
                path = file.relative_to(REPOSITORY)
                if known or name in GPU_LIBRARIES or (package in ("models", "tests") and _may_be_heavy(path)):
                    continue
                providers = {each.lower().replace("_", "-") for each in distributions.get(name, [name])}
                if not providers & declared:
                    wrong.add(f"{path}: {name} of {', '.join(sorted(providers))}")
    assert sorted(wrong) == []
