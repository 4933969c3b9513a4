"""The one file that a web site includes: our element together with the room's client, packed once."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from appliance.errors import Unavailable
from console.web.features import FOLDER

_SOURCES = ("words.js", "style.js", "session.js", "view.js", "element.js")
"""In the order in which they need each other."""
_CLIENT = Path("livekit-client") / "livekit-client.umd.js"


@dataclass(frozen=True)
class Bundle:
    plain: bytes
    packed: bytes
    etag: str


@cache
def bundle(browser_files: Path | None) -> Bundle:
    """Unavailable when the set-up did not fetch the room's client."""
    try:
        if browser_files is None:
            raise FileNotFoundError(_CLIENT)
        client = (browser_files / _CLIENT).read_text(encoding="utf-8")
    except OSError as error:
        raise Unavailable("The room's client is not there.", remedy="Run the set-up again.") from error
    folder = FOLDER / "widget" / "browser"
    own = "\n".join((folder / name).read_text(encoding="utf-8") for name in _SOURCES)
    client = "\n".join(line for line in client.split("\n") if not line.startswith("//# sourceMappingURL="))
    # The client sees a CommonJS module, so that it leaves no name on the page that carries the widget.
    text = (
        '(() => {\n"use strict";\n'
        "const SERVER = new URL(document.currentScript?.src ?? location.href).origin;\n"
        "const LivekitClient = (() => { const exports = {}, module = { exports };\n"
        f"{client}\nreturn module.exports; }})();\n"
        f"{own}\n}})();\n"
    )
    plain = text.encode()
    digest = hashlib.sha256(plain).hexdigest()[:16]
    return Bundle(plain, gzip.compress(plain, compresslevel=9, mtime=0), f'"{digest}"')
