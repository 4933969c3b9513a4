"""`make lock`: writes the lock files from their inputs, with hashes.

`lock/requirements.txt` is for every platform; the engines' files are for the one Python that their wheels are
compiled for (`provisioning/setup/engines.py`). `make lock` takes the newest allowed versions; a name after it
(`python -m provisioning.setup.lock speech`) writes that file alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from provisioning.lite.cache import REPOSITORY, cache_directory
from provisioning.setup.engines import ENVIRONMENTS, PYTHON
from provisioning.setup.python_environment import uv_program

_COMMON = ("pip", "compile", "--generate-hashes", "--no-header", "--no-annotate", "--upgrade")


def commands(repository: Path) -> dict[str, list[str]]:
    """uv's arguments of each lock file, by the name after which it can be asked for."""
    core = [*_COMMON, "--universal", "--group", "dev"]
    lines = {"core": [*core, "--output-file", "lock/requirements.txt", "pyproject.toml"]}
    version = ".".join(map(str, PYTHON))
    for environment in ENVIRONMENTS:
        overrides = f"lock/{environment.name}-overrides.txt"
        override = ["--override", overrides] if (repository / overrides).exists() else []
        files = ["--output-file", f"lock/{environment.name}.txt", f"lock/{environment.name}.in"]
        lines[environment.name] = [*_COMMON, "--python-version", version, *override, *files]
    return lines


def main() -> int:
    uv = uv_program(cache_directory())
    if not uv.exists():
        sys.stderr.write("uv is not installed. Run `make setup`.\n")
        return 3
    known = commands(REPOSITORY)
    wanted = sys.argv[1:] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.stderr.write(f"There is no lock file {unknown[0]}. Known: {', '.join(known)}.\n")
        return 2
    environment = {**os.environ, "UV_CACHE_DIR": str(cache_directory() / "uv"), "UV_NO_PROGRESS": "1"}
    for name in wanted:
        sys.stdout.write(f"lock: {name}\n")
        command = [str(uv), *known[name]]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, timeout=600, check=False
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
