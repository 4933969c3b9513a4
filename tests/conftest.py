"""What every test may use. A fixture of one subject lives in `tests/fixtures` and is named here."""

from __future__ import annotations

import os
from importlib.util import find_spec

from hypothesis import HealthCheck, settings

pytest_plugins = [
    name
    for name in ("tests.fixtures.box", "tests.fixtures.pbx", "tests.fixtures.calls")
    if find_spec(name) is not None
]

settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "here")
