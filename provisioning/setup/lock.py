"""`make lock`: writes lock/requirements.txt from pyproject.toml, with hashes, for every platform."""

from __future__ import annotations

import os
import subprocess
import sys

from provisioning.lite.cache import REPOSITORY, cache_directory
from provisioning.setup.python_environment import uv_program


def main() -> int:
    uv = uv_program(cache_directory())
    if not uv.exists():
        sys.stderr.write("uv is not installed. Run `make setup`.\n")
        return 3
    command = [str(uv), "pip", "compile", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--upgrade", "--group", "dev", "--output-file", "lock/requirements.txt", "pyproject.toml"]
    environment = {**os.environ, "UV_CACHE_DIR": str(cache_directory() / "uv"), "UV_NO_PROGRESS": "1"}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, timeout=600, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
