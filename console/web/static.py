"""Style sheets and scripts: `console/static/` at `/static/`, a feature's own at `/static/<feature>/`."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from litestar import Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.response import File

from console.web.features import FOLDER, Feature

_A_YEAR = "public, max-age=31536000, immutable"


def router(found: Sequence[Feature]) -> Router:
    """Serves exactly the files that were there at the start."""
    files = {path.name: path for path in _files(FOLDER / "static")}
    for feature in found:
        folder = feature.folder / "static"
        files |= {f"{feature.name}/{path.relative_to(folder).as_posix()}": path for path in _files(folder)}

    @get("/static/{name:path}", public=True, sync_to_thread=False)
    def serve(name: str) -> Response[bytes] | File:
        path = files.get(name.lstrip("/"))
        if path is None:
            raise NotFoundException
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith("javascript"):
            kind += "; charset=utf-8"
        return File(
            path, media_type=kind, content_disposition_type="inline", headers={"Cache-Control": _A_YEAR}
        )

    return Router("/", route_handlers=[serve])


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
