"""All tables of the box on one metadata: import this where the whole is needed (migrations, tests)."""

from __future__ import annotations

from importlib import import_module

from appliance.database.base import Base

FEATURES = ("organizations", "access", "audit", "agents", "telephony", "calls", "scheduling", "recordings")

for feature in FEATURES:
    import_module(f"appliance.{feature}.tables")

metadata = Base.metadata
