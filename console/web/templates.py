"""Templates: `calls/list.html` is `console/calls/templates/list.html`; others lie in `console/templates`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context

from console.web.features import FOLDER, Feature


def make_templates(found: Sequence[Feature]) -> Environment:
    """Everything is escaped; a name that is not given is an error and not an empty place."""
    own = {f.name: FileSystemLoader(f.folder / "templates") for f in found}
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(FOLDER / "templates"), PrefixLoader(own)]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"when": when, "day": day, "clock": clock, "duration": duration}
    names: dict[str, Any] = {"static": static_address}
    environment.filters.update(filters)
    environment.globals.update(names)
    return environment


@pass_context
def when(context: Context, moment: datetime | None) -> str:
    """`21 Nov 2026, 14:03` in the organization's time zone; a dash for nothing."""
    return f"{_local(context, moment):%-d %b %Y, %H:%M}" if moment is not None else "–"


@pass_context
def day(context: Context, moment: datetime | None) -> str:
    return f"{_local(context, moment):%-d %b %Y}" if moment is not None else "–"


@pass_context
def clock(context: Context, moment: datetime | None) -> str:
    """`14:03:27` in the organization's time zone."""
    return f"{_local(context, moment):%H:%M:%S}" if moment is not None else "–"


def duration(seconds: float | None) -> str:
    """`2:07`, or `1:02:07` from an hour on; a dash for nothing."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _local(context: Context, moment: datetime) -> datetime:
    zone = context.get("timezone")
    return moment.astimezone(zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC"))


_digests: dict[str, str] = {}


def static_address(name: str) -> str:
    """`static("app.css")`, or `static("calls/player.js")` of a feature: with the content's hash, so that a
    browser may keep it for ever."""
    if name not in _digests:
        feature, _, rest = name.partition("/")
        path = FOLDER / feature / "static" / rest if rest else FOLDER / "static" / name
        _digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={_digests[name]}"
