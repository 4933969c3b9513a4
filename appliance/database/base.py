"""What every table shares: naming of constraints, types, the primary key and the tenant column."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, ForeignKeyConstraint, MetaData, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.schema import SchemaItem

from appliance.database.identifiers import uuid7

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The declarative base of every feature's tables. All times carry a time zone."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text(),
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
    }


class Identified:
    """A UUIDv7 as primary key and the time at which the row was made."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OfOrganization(Identified):
    """A row of one organization. Row-level security shows it to nobody else."""

    @declared_attr
    @classmethod
    def organization_id(cls) -> Mapped[UUID]:
        return mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"), index=True)


def same_organization(
    column: str, table: str, *, ondelete: str | None = "CASCADE", deferred: bool = False
) -> ForeignKeyConstraint:
    """A reference that cannot point at another organization's row.

    PostgreSQL checks foreign keys past row-level security, so a plain reference could name a foreign row.
    """
    return ForeignKeyConstraint(
        ["organization_id", column],
        [f"{table}.organization_id", f"{table}.id"],
        ondelete=ondelete,
        deferrable=True if deferred else None,
        initially="DEFERRED" if deferred else None,
    )


def referable() -> SchemaItem:
    """What `same_organization` needs on the table that it points at."""
    return UniqueConstraint("organization_id", "id")
