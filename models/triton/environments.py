"""Where the engines' environments are, and what of them Triton needs. Pure but for looking at files."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InvalidInput

ENGINES_VARIABLE = "TRUNKLINE_ENGINES"
_PYTHON = "3.11"
_REMEDY = "Run `make setup-engines`."


@dataclass(frozen=True)
class Environments:
    """The environments under one folder: `speech` (NeMo) and `triton` (the server)."""

    folder: Path

    @classmethod
    def named(cls, environment: Mapping[str, str] = os.environ) -> Environments:
        """The folder that `TRUNKLINE_ENGINES` names. InvalidInput when one of the two is not there."""
        folder = environment.get(ENGINES_VARIABLE)
        if not folder:
            raise InvalidInput(f"{ENGINES_VARIABLE} is not set.", remedy=_REMEDY)
        found = cls(Path(folder).absolute())
        for path in (found.speech_packages, found.server, found.stub):
            if not path.exists():
                raise InvalidInput(f"{path} is missing.", remedy=_REMEDY)
        return found

    @property
    def speech_packages(self) -> Path:
        return self.folder / "speech" / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def _triton_packages(self) -> Path:
        return self.folder / "triton" / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def _tritonserver(self) -> Path:
        return self._triton_packages / "pytriton" / "tritonserver"

    @property
    def server(self) -> Path:
        return self._tritonserver / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        return self._tritonserver / "backends" / "python"

    @property
    def stub(self) -> Path:
        """The python backend's interpreter, of the version that the speech environment has."""
        return self._tritonserver / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"

    @property
    def library_path(self) -> str:
        """Where the server's and the interpreter's shared libraries lie."""
        folders = [self._triton_packages / "nvidia_pytriton.libs", self.speech_python_home / "lib"]
        return ":".join(str(folder) for folder in folders)

    @property
    def speech_python_home(self) -> Path:
        """The interpreter that the speech environment was made of: its standard library lies there."""
        return (self.folder / "speech" / "bin" / "python").resolve().parent.parent

    def version_of(self, package: str) -> str:
        """The version of a package of the speech environment. InvalidInput when it is not installed."""
        found = importlib.metadata.distributions(name=package, path=[str(self.speech_packages)])
        for distribution in found:
            return distribution.version
        raise InvalidInput(f"{package} is not in the speech environment.", remedy=_REMEDY)
