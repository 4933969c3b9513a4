"""Organizations, agents, trunks and numbers, calendars."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "box",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.CheckConstraint("capacity >= 0", name="ck_box_capacity"),
        sa.CheckConstraint("id = 1", name="ck_box_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_box"),
    )
    op.create_table(
        "organizations",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("max_calls", sa.Integer(), server_default="10", nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("max_calls >= 0", name="ck_organizations_max_calls"),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("slug", name="uq_organizations_slug"),
    )
    op.create_table(
        "agents",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("published_version_id", sa.Uuid(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_agents_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("organization_id", "id", name="uq_agents_organization_id_id"),
        sa.UniqueConstraint("organization_id", "name", name="uq_agents_organization_id_name"),
    )
    op.create_index("ix_agents_organization_id", "agents", ["organization_id"], unique=False)
    op.create_table(
        "calendars",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slot_minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("lead_minutes", sa.Integer(), server_default="60", nullable=False),
        sa.Column("horizon_days", sa.Integer(), server_default="14", nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("horizon_days > 0", name="ck_calendars_horizon_days"),
        sa.CheckConstraint("lead_minutes >= 0", name="ck_calendars_lead_minutes"),
        sa.CheckConstraint("slot_minutes > 0", name="ck_calendars_slot_minutes"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_calendars_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_calendars"),
        sa.UniqueConstraint("organization_id", "id", name="uq_calendars_organization_id_id"),
        sa.UniqueConstraint("organization_id", "name", name="uq_calendars_organization_id_name"),
    )
    op.create_index("ix_calendars_organization_id", "calendars", ["organization_id"], unique=False)
    op.create_table(
        "holidays",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_holidays_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_holidays"),
        sa.UniqueConstraint("organization_id", "date", name="uq_holidays_organization_id_date"),
    )
    op.create_index("ix_holidays_organization_id", "holidays", ["organization_id"], unique=False)
    op.create_table(
        "opening_hours",
        sa.Column("weekday", sa.SmallInteger(), nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("opens < closes", name="ck_opening_hours_order"),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name="ck_opening_hours_weekday"),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_opening_hours_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_opening_hours"),
        sa.UniqueConstraint(
            "organization_id", "weekday", "opens", name="uq_opening_hours_organization_id_weekday_opens"
        ),
    )
    op.create_index("ix_opening_hours_organization_id", "opening_hours", ["organization_id"], unique=False)
    op.create_table(
        "trunks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transport", sa.Text(), server_default="udp", nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("match", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("auth_username", sa.Text(), nullable=True),
        sa.Column("auth_password", sa.LargeBinary(), nullable=True),
        sa.Column("inbound_username", sa.Text(), nullable=True),
        sa.Column("inbound_password", sa.LargeBinary(), nullable=True),
        sa.Column("register", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("outbound_proxies", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("srtp", sa.Text(), server_default="off", nullable=False),
        sa.Column(
            "codecs", postgresql.ARRAY(sa.Text()), server_default="{opus,g722,alaw,ulaw}", nullable=False
        ),
        sa.Column("qualify_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_calls", sa.Integer(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("codecs <@ ARRAY['ulaw', 'alaw', 'g722', 'opus']", name="ck_trunks_codecs"),
        sa.CheckConstraint("srtp IN ('off', 'optional', 'required')", name="ck_trunks_srtp"),
        sa.CheckConstraint("transport IN ('udp', 'tcp', 'tls')", name="ck_trunks_transport"),
        sa.CheckConstraint("max_calls >= 0", name="ck_trunks_max_calls"),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name="ck_trunks_port"),
        sa.CheckConstraint("qualify_seconds >= 0", name="ck_trunks_qualify_seconds"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_trunks_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_trunks"),
        sa.UniqueConstraint("organization_id", "id", name="uq_trunks_organization_id_id"),
        sa.UniqueConstraint("organization_id", "name", name="uq_trunks_organization_id_name"),
    )
    op.create_index("ix_trunks_organization_id", "trunks", ["organization_id"], unique=False)
    op.create_table(
        "agent_versions",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "agent_id"],
            ["agents.organization_id", "agents.id"],
            name="fk_agent_versions_organization_id_agent_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_agent_versions_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_versions"),
        sa.UniqueConstraint("agent_id", "version", name="uq_agent_versions_agent_id_version"),
        sa.UniqueConstraint("organization_id", "id", name="uq_agent_versions_organization_id_id"),
    )
    op.create_index("ix_agent_versions_organization_id", "agent_versions", ["organization_id"], unique=False)
    op.create_table(
        "numbers",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("trunk_id", sa.Uuid(), nullable=True),
        sa.Column("max_calls", sa.Integer(), nullable=True),
        sa.Column("overflow", sa.Text(), nullable=True),
        sa.Column("closed_action", sa.Text(), server_default="answer", nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "closed_action IN ('answer', 'refuse', 'overflow')", name="ck_numbers_closed_action"
        ),
        sa.CheckConstraint("max_calls >= 0", name="ck_numbers_max_calls"),
        sa.ForeignKeyConstraint(
            ["organization_id", "agent_id"],
            ["agents.organization_id", "agents.id"],
            name="fk_numbers_organization_id_agent_id",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "trunk_id"],
            ["trunks.organization_id", "trunks.id"],
            name="fk_numbers_organization_id_trunk_id",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_numbers_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_numbers"),
        sa.UniqueConstraint("number", name="uq_numbers_number"),
        sa.UniqueConstraint("organization_id", "id", name="uq_numbers_organization_id_id"),
    )
    op.create_index("ix_numbers_organization_id", "numbers", ["organization_id"], unique=False)
    op.create_foreign_key(
        "fk_agents_organization_id_published_version_id",
        "agents",
        "agent_versions",
        ["organization_id", "published_version_id"],
        ["organization_id", "id"],
        initially="DEFERRED",
        deferrable=True,
    )
    op.execute("INSERT INTO box (id, capacity) VALUES (1, 10)")


def downgrade() -> None:
    op.drop_constraint("fk_agents_organization_id_published_version_id", "agents")
    op.drop_table("numbers")
    op.drop_table("agent_versions")
    op.drop_table("trunks")
    op.drop_table("opening_hours")
    op.drop_table("holidays")
    op.drop_table("calendars")
    op.drop_table("agents")
    op.drop_table("organizations")
    op.drop_table("box")
