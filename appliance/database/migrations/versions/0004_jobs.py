"""The tables of the job queue (procrastinate), in a schema of their own: `jobs`."""

from __future__ import annotations

from alembic import context, op
from procrastinate.schema import SchemaManager

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    app = connection.dialect.identifier_preparer.quote(context.config.attributes["database"].app_user)
    connection.exec_driver_sql("CREATE SCHEMA jobs")
    connection.exec_driver_sql("SET LOCAL search_path TO jobs, pg_catalog")
    connection.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
    connection.exec_driver_sql("SET LOCAL search_path TO DEFAULT")
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA jobs TO {app}")
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO {app}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO {app}")
    connection.exec_driver_sql(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO {app}")


def downgrade() -> None:
    op.execute("DROP SCHEMA jobs CASCADE")
