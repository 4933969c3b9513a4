"""Style sheets and scripts: `console/static/` at `/static/`, a feature's own at `/static/<feature>/`."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from litestar import Router, get
from litestar.exceptions import NotFoundException
from litestar.response import File

from console.web.features import FOLDER, Feature

_A_YEAR = "public, max-age=31536000, immutable"
_A_DAY = "public, max-age=86400"
_VENDOR = "livekit-client"


def router(found: Sequence[Feature], browser_files: Path | None) -> Router:
    """Serves exactly the files that were there at the start; what others wrote at `/vendor/<package>/`."""
    files = {path.relative_to(FOLDER / "static").as_posix(): path for path in _files(FOLDER / "static")}
    vendored = browser_files / _VENDOR if browser_files is not None else None
    others = {path.name: path for path in _files(vendored)} if vendored is not None else {}
    for feature in found:
        folder = feature.folder / "static"
        files |= {f"{feature.name}/{path.relative_to(folder).as_posix()}": path for path in _files(folder)}

    @get("/static/{name:path}", public=True, sync_to_thread=False)
    def serve(name: str) -> File:
        return _file(files.get(name.lstrip("/")), _A_YEAR)

    @get(f"/vendor/{_VENDOR}/{{name:str}}", public=True, sync_to_thread=False)
    def serve_vendored(name: str) -> File:
        return _file(others.get(name), _A_DAY)

    return Router("/", route_handlers=[serve, serve_vendored])


def _file(path: Path | None, kept: str) -> File:
    if path is None:
        raise NotFoundException
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind.endswith("javascript"):
        kind += "; charset=utf-8"
    return File(path, media_type=kind, content_disposition_type="inline", headers={"Cache-Control": kept})


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
