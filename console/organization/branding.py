"""An organization's colour: one small style sheet for each, so that no page needs a style of its own."""

from __future__ import annotations

import re
from typing import Final

from litestar import MediaType, Response, get
from litestar.exceptions import NotFoundException

_COLOUR: Final = re.compile(r"[0-9a-f]{6}")
_KEPT = "public, max-age=31536000, immutable"
_DARK_INK, _LIGHT_INK = "#000000", "#ffffff"
"""One of the two always has a contrast of 4.5 or more; nothing lighter than black does with all greys."""


def luminance(colour: str) -> float:
    """Relative luminance of `rrggbb`, 0 to 1 (WCAG 2.2, "relative luminance")."""

    def linear(value: int) -> float:
        part = value / 255
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[place : place + 2], 16)) for place in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: str) -> str:
    """The letters that are read best on it: whichever has the higher contrast."""
    ground = luminance(colour)
    light = (luminance(_LIGHT_INK[1:]) + 0.05) / (ground + 0.05)
    dark = (ground + 0.05) / (luminance(_DARK_INK[1:]) + 0.05)
    return _LIGHT_INK if light >= dark else _DARK_INK


@get("/brand/{name:str}", public=True, sync_to_thread=False)
def style_sheet(name: str) -> Response[str]:
    """`/brand/0b6e4f.css`: depends on its address alone, so that a browser may keep it for ever."""
    colour, _, kind = name.partition(".")
    if kind != "css" or not _COLOUR.fullmatch(colour):
        raise NotFoundException
    text = f":root:root {{ --brand: #{colour}; --brand-ink: {ink_on(colour)}; }}\n"
    return Response(text, media_type=MediaType.CSS, headers={"Cache-Control": _KEPT})
