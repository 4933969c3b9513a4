"""Test calls from the browser: a direction of their own, with the draft's snapshot on the call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("test_agent_id", sa.Uuid(), nullable=True))
    op.add_column("calls", sa.Column("test_snapshot", postgresql.JSONB(), nullable=True))
    op.create_foreign_key(
        "fk_calls_organization_id_test_agent_id",
        "calls",
        "agents",
        ["organization_id", "test_agent_id"],
        ["organization_id", "id"],
        ondelete="SET NULL (test_agent_id)",
    )
    op.drop_constraint("ck_calls_direction", "calls", type_="check")
    op.create_check_constraint("ck_calls_direction", "calls", "direction IN ('inbound', 'outbound', 'test')")


def downgrade() -> None:
    op.execute("DELETE FROM calls WHERE direction = 'test'")
    op.drop_constraint("ck_calls_direction", "calls", type_="check")
    op.create_check_constraint("ck_calls_direction", "calls", "direction IN ('inbound', 'outbound')")
    op.drop_constraint("fk_calls_organization_id_test_agent_id", "calls", type_="foreignkey")
    op.drop_column("calls", "test_snapshot")
    op.drop_column("calls", "test_agent_id")
