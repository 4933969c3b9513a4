"""The revision of a thing: what an ETag and a form's hidden field carry, so that nobody overwrites unseen.

It is a digest of what is shown of the thing; a change that is taken back gives the old revision again. The
one who changes holds the row's lock, so that two who saw the same revision cannot both be the first.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from appliance.errors import Conflict

CHANGED = "changed_meanwhile"
"""The code of the Conflict that a stale revision meets."""


def revision_of(value: BaseModel | dict[str, Any]) -> str:
    """16 hexadecimal digits."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_revision(expected: str | None, found: str) -> None:
    """Conflict when `expected` is given and is not what is stored now."""
    if expected is not None and expected != found:
        raise Conflict(
            "Somebody else has changed this meanwhile.",
            remedy="Load it again and repeat your change.",
            code=CHANGED,
        )
