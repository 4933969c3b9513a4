"""Signed heads of the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHAIN = (
    "coalesce(nullif(current_setting('app.organization_id', true), '')::uuid, "
    "'00000000-0000-0000-0000-000000000000'::uuid)"
)


def upgrade() -> None:
    op.create_table(
        "audit_signatures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_signatures"),
        sa.UniqueConstraint("chain", "sequence", name="uq_audit_signatures_chain_sequence"),
    )
    database = context.config.attributes["database"]
    app = op.get_bind().dialect.identifier_preparer.quote(database.app_user)
    op.execute("ALTER TABLE audit_signatures ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE audit_signatures FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY chain ON audit_signatures TO {app} "
        f"USING (chain = {CHAIN}) WITH CHECK (chain = {CHAIN})"
    )
    op.execute(f"GRANT SELECT, INSERT ON audit_signatures TO {app}")
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_signatures "
        "FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_signatures "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def downgrade() -> None:
    op.drop_table("audit_signatures")
