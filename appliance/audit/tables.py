"""The audit log's tables. Nobody may change or delete an entry (`docs/adr/0130-audit-log.md`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base
from appliance.database.identifiers import uuid7


class AuditEntry(Base):
    """One entry of a chain. `before` and `after` are kept as written (JSON, not JSONB): they are hashed."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    chain: Mapped[UUID]
    """The organization's id, or `domain.BOX_CHAIN`. No foreign key: the log outlives what it tells of."""
    sequence: Mapped[int]
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    address: Mapped[str | None]
    action: Mapped[str]
    subject: Mapped[str]
    before: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    previous_hash: Mapped[str]
    hash: Mapped[str]

    __table_args__ = (
        UniqueConstraint("chain", "sequence"),
        CheckConstraint("sequence >= 1", name="sequence"),
        Index("ix_audit_entries_subject", "chain", "subject", "sequence"),
        Index("ix_audit_entries_actor", "chain", "actor_id", "sequence"),
        Index("ix_audit_entries_at", "chain", "at"),
    )


class AuditHead(Base):
    """The newest entry of each chain; its row is what writers of one chain wait for."""

    __tablename__ = "audit_heads"

    chain: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    hash: Mapped[str]


class AuditSignature(Base):
    """The head of a chain as it was signed; append-only like the entries."""

    __tablename__ = "audit_signatures"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    chain: Mapped[UUID]
    sequence: Mapped[int]
    hash: Mapped[str]
    signed_at: Mapped[datetime]
    key_id: Mapped[str]
    signature: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (UniqueConstraint("chain", "sequence"),)
