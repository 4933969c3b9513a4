"""Incoming webhooks: paths and the requests to them; what receivers of outgoing ones answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = ("inbound_hooks", "inbound_requests")
TENANT = "nullif(current_setting('app.organization_id', true), '')::uuid"


def upgrade() -> None:
    app, router = _roles()
    op.add_column("webhook_attempts", sa.Column("answer", sa.Text(), nullable=True))
    op.create_table(
        "inbound_hooks",
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("auth", sa.Text(), nullable=False),
        sa.Column("auth_user", sa.Text(), server_default="", nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("requests_per_minute", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        *_of_organization("inbound_hooks"),
        sa.UniqueConstraint("organization_id", "id", name="uq_inbound_hooks_organization_id_id"),
        sa.UniqueConstraint("public_id", name="uq_inbound_hooks_public_id"),
        sa.CheckConstraint("auth IN ('signature', 'bearer', 'basic')", name="ck_inbound_hooks_auth"),
        sa.CheckConstraint("(secret IS NULL) <> (secret_hash IS NULL)", name="ck_inbound_hooks_one_secret"),
    )
    op.create_index("ix_inbound_hooks_organization_id", "inbound_hooks", ["organization_id"])
    op.create_table(
        "inbound_requests",
        sa.Column("hook_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("number_id", sa.Uuid(), nullable=True),
        sa.Column("called", sa.Text(), nullable=True),
        sa.Column("call_id", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replay_of", sa.Uuid(), nullable=True),
        *_of_organization("inbound_requests"),
        sa.ForeignKeyConstraint(
            ["organization_id", "hook_id"],
            ["inbound_hooks.organization_id", "inbound_hooks.id"],
            name="fk_inbound_requests_organization_id_hook_id",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint(
            "organization_id",
            "hook_id",
            "delivery_id",
            name="uq_inbound_requests_organization_id_hook_id_delivery_id",
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'calling', 'called', 'filed', 'unmatched', 'failed', 'refused')",
            name="ck_inbound_requests_state",
        ),
    )
    op.create_index("ix_inbound_requests_organization_id", "inbound_requests", ["organization_id"])
    op.create_index("ix_inbound_requests_hook", "inbound_requests", ["hook_id", "created_at"])
    op.create_index(
        "ix_inbound_requests_due",
        "inbound_requests",
        ["next_try_at"],
        postgresql_where=sa.text("state IN ('waiting', 'calling')"),
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO {app} "
            f"USING (organization_id = {TENANT}) WITH CHECK (organization_id = {TENANT})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app}")
        op.execute(f"CREATE POLICY router ON {table} FOR SELECT TO {router} USING (true)")
    # The address of a request tells its organization; the jobs worker asks what is due in the whole box.
    op.execute(f"GRANT SELECT (id, organization_id, public_id) ON inbound_hooks TO {router}")
    op.execute(f"GRANT SELECT (id, organization_id, state, next_try_at) ON inbound_requests TO {router}")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("webhook_attempts", "answer")


def _of_organization(table: str) -> list[sa.schema.SchemaItem]:
    return [
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
    ]


def _roles() -> tuple[str, str]:
    database = context.config.attributes["database"]
    quote = op.get_bind().dialect.identifier_preparer.quote
    return quote(database.app_user), quote(database.router_user)
