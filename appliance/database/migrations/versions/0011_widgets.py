"""Widgets on web sites: themselves, their sessions, and calls that come from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("widgets", "widget_sessions")
TENANT = "nullif(current_setting('app.organization_id', true), '')::uuid"


def upgrade() -> None:
    app, router = _roles()
    op.create_table(
        "widgets",
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("origins", postgresql.JSONB(), server_default="[]", nullable=False),
        *(
            sa.Column(name, sa.Boolean(), server_default="true", nullable=False)
            for name in ("voice", "text", "demo", "enabled")
        ),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                "max_sessions",
                "visitor_sessions_per_hour",
                "address_sessions_per_hour",
                "max_duration_seconds",
            )
        ),
        *_shared("widgets"),
        sa.CheckConstraint("voice OR text", name="ck_widgets_one_way"),
        sa.UniqueConstraint("public_id", name="uq_widgets_public_id"),
        sa.UniqueConstraint("organization_id", "id", name="uq_widgets_organization_id_id"),
        _reference("widgets", "agent_id", "agents", "CASCADE"),
    )
    op.create_index("ix_widgets_organization_id", "widgets", ["organization_id"])
    op.create_table(
        "widget_sessions",
        sa.Column("widget_id", sa.Uuid(), nullable=True),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("visitor", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("ends_by", sa.DateTime(timezone=True), nullable=False),
        *_shared("widget_sessions"),
        sa.CheckConstraint("mode IN ('voice', 'text')", name="ck_widget_sessions_mode"),
        sa.UniqueConstraint("call_id", name="uq_widget_sessions_call_id"),
        _reference("widget_sessions", "widget_id", "widgets", "SET NULL (widget_id)"),
        _reference("widget_sessions", "call_id", "calls", "CASCADE"),
    )
    op.create_index("ix_widget_sessions_organization_id", "widget_sessions", ["organization_id"])
    op.create_index("ix_widget_sessions_recent", "widget_sessions", ["widget_id", "created_at"])
    op.create_index(
        "ix_widget_sessions_known",
        "widget_sessions",
        ["created_at"],
        postgresql_where=sa.text("visitor IS NOT NULL"),
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO {app} "
            f"USING (organization_id = {TENANT}) WITH CHECK (organization_id = {TENANT})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app}")
    # A visitor's browser names the widget alone; whose it is must be found before a tenant is known.
    op.execute(f"CREATE POLICY router ON widgets FOR SELECT TO {router} USING (true)")
    op.execute(f"GRANT SELECT (id, organization_id, public_id) ON widgets TO {router}")
    op.drop_constraint("ck_calls_direction", "calls", type_="check")
    op.create_check_constraint(
        "ck_calls_direction", "calls", "direction IN ('inbound', 'outbound', 'test', 'web')"
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DELETE FROM calls WHERE direction = 'web'")
    op.drop_constraint("ck_calls_direction", "calls", type_="check")
    op.create_check_constraint("ck_calls_direction", "calls", "direction IN ('inbound', 'outbound', 'test')")


def _shared(table: str) -> tuple[sa.Column[object] | sa.Constraint, ...]:
    return (
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=f"fk_{table}_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )


def _reference(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", column],
        [f"{target}.organization_id", f"{target}.id"],
        name=f"fk_{table}_organization_id_{column}",
        ondelete=ondelete,
    )


def _roles() -> tuple[str, str]:
    database = context.config.attributes["database"]
    quote = op.get_bind().dialect.identifier_preparer.quote
    return quote(database.app_user), quote(database.router_user)
