"""What the browser needs of others: the room's client of the test call, and the tests' accessibility rules.

Packed by npm, checked against the hashes below, unpacked into the cache; nothing of them is run here.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioning.setup.step import SetupError, Step, run_logged


@dataclass(frozen=True)
class BrowserPackage:
    """One package of the npm registry; `files` of it are kept. `integrity` is the registry's own sha512."""

    name: str
    version: str
    integrity: str
    files: tuple[str, ...]

    @property
    def stamp(self) -> str:
        return f"{self.version} {self.integrity}"


PACKAGES = (
    BrowserPackage(
        "livekit-client",
        "2.23.0",
        "sha512-j9Kg86nJjBjNFUD+ukp2jwMCGa0k+YD5gU//RzAM+ZY3pbG631QCte7fQjwqWMmtBzhDJL9nKYuOLMv/9IbAxg==",
        ("dist/livekit-client.umd.js", "LICENSE"),
    ),
    BrowserPackage(
        "axe-core",
        "4.14.1",
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        ("axe.min.js", "LICENSE"),
    ),
)
_NPM_PACK = ("npm", "pack", "--silent", "--pack-destination")
_REMEDY = "Is npm installed (it comes with nodejs) and its registry reachable? Then run `make setup` again."


def folder(cache: Path) -> Path:
    """`<package>/<file>` of each package lies here."""
    return cache / "browser"


def _is_there(place: Path, package: BrowserPackage) -> bool:
    stamp = place / package.name / "stamp"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == package.stamp


def _integrity(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def _unpack(archive: Path, package: BrowserPackage, target: Path) -> None:
    with tarfile.open(archive) as packed:
        for name in package.files:
            source = packed.extractfile(f"package/{name}")
            if source is None:
                raise SetupError(f"{package.name} {package.version} has no {name}.")
            (target / Path(name).name).write_bytes(source.read())
    (target / "stamp").write_text(package.stamp, encoding="utf-8")


def step(cache: Path, logs: Path) -> Step:
    place = folder(cache)

    def run(progress: Callable[[str], None]) -> None:
        for package in PACKAGES:
            if _is_there(place, package):
                continue
            progress(f"fetching {package.name} {package.version}")
            building = place / f"building-{package.name}"
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            run_logged(
                [*_NPM_PACK, str(building), f"{package.name}@{package.version}"],
                logs / "browser-files.log",
                what=f"Fetching {package.name}",
                remedy=_REMEDY,
                attempts=3,
                timeout_seconds=300,
            )
            (archive,) = building.glob("*.tgz")
            if _integrity(archive) != package.integrity:
                raise SetupError(
                    f"{package.name} {package.version} is not what was expected.",
                    remedy="The registry served another file under this version; do not use it.",
                )
            _unpack(archive, package, building)
            archive.unlink()
            target = place / package.name
            shutil.rmtree(target, ignore_errors=True)
            building.rename(target)

    return Step("browser files", done=lambda: all(_is_there(place, package) for package in PACKAGES), run=run)
