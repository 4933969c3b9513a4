"""All tables of the box on one metadata: import this where the whole is needed (migrations, tests)."""

from __future__ import annotations

from importlib import import_module

from appliance.database.base import Base

FEATURES = (
    "organizations",
    "access",
    "audit",
    "agents",
    "telephony",
    "calls",
    "scheduling",
    "recordings",
    "tools",
    "webhooks",
    "widgets",
)
FURTHER = ("organizations.console_tables", "calls.archive_tables")

for module in (*(f"{feature}.tables" for feature in FEATURES), *FURTHER):
    import_module(f"appliance.{module}")

metadata = Base.metadata
