"""Who did what: the audit log, chained and append-only; sessions of the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHAIN = (
    "coalesce(nullif(current_setting('app.organization_id', true), '')::uuid, "
    "'00000000-0000-0000-0000-000000000000'::uuid)"
)
"""Without a tenant one sees and writes the box's own chain."""


def upgrade() -> None:
    _make_audit_tables()
    _make_session_tables()
    app, _router, _owner = _roles()
    for table in ("audit_entries", "audit_heads"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY chain ON {table} TO {app} USING (chain = {CHAIN}) WITH CHECK (chain = {CHAIN})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {app}")
    op.execute(f"GRANT UPDATE (sequence, hash) ON audit_heads TO {app}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON console_sessions, console_used_tokens TO {app}")
    _make_triggers()


def _make_audit_tables() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("sequence >= 1", name="ck_audit_entries_sequence"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
        sa.UniqueConstraint("chain", "sequence", name="uq_audit_entries_chain_sequence"),
    )
    for name, columns in (
        ("subject", ["chain", "subject", "sequence"]),
        ("actor", ["chain", "actor_id", "sequence"]),
        ("at", ["chain", "at"]),
    ):
        op.create_index(f"ix_audit_entries_{name}", "audit_entries", columns)
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_heads"),
    )


def _make_session_tables() -> None:
    op.create_table(
        "console_sessions",
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="member", nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("member_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("organizations", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("operator", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("identity_session", sa.Text(), nullable=True),
        sa.Column("identity_token", sa.LargeBinary(), nullable=True),
        sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_console_sessions"),
        sa.UniqueConstraint("secret_hash", name="uq_console_sessions_secret_hash"),
    )
    for column in ("member_id", "identity_session"):
        op.create_index(
            f"ix_console_sessions_{column}",
            "console_sessions",
            [column],
            postgresql_where=sa.text("ended_at IS NULL"),
        )
    op.create_table(
        "console_used_tokens",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name="pk_console_used_tokens"),
    )


def _make_triggers() -> None:
    """The grants bind the app; these bind the owner, too, until somebody takes them away on purpose."""
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_entries "
        "FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE TRIGGER only_forward BEFORE UPDATE ON audit_heads FOR EACH ROW "
        "WHEN (NEW.chain <> OLD.chain OR NEW.sequence <> OLD.sequence + 1) EXECUTE FUNCTION audit_refuse()"
    )
    op.execute(
        "CREATE TRIGGER never_deleted BEFORE DELETE ON audit_heads "
        "FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
    )


def downgrade() -> None:
    for table in ("console_used_tokens", "console_sessions", "audit_heads", "audit_entries"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_refuse()")


def _roles() -> tuple[str, str, str]:
    database = context.config.attributes["database"]
    quote = op.get_bind().dialect.identifier_preparer.quote
    return quote(database.app_user), quote(database.router_user), quote(database.owner_user)
