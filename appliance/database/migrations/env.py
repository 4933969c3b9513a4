"""Alembic's entry: `appliance.database.migrate` hands over the connection, in one transaction a migration."""

from __future__ import annotations

from alembic import context

from appliance.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
