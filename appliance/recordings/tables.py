"""Recordings: where each lies, how it is protected, how far it has come."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.database.base import Base, OfOrganization, referable, same_organization


class Recording(OfOrganization, Base):
    """One attempt's recording of a call. `sha256` (hex) and `size_bytes` are of the encrypted object."""

    __tablename__ = "recordings"

    call_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(server_default="1")
    bucket: Mapped[str]
    object: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="spooling")
    wrapped_data_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The data key, wrapped by the organization's key. Without it the object is noise."""
    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    seconds: Mapped[float | None]
    channels: Mapped[int | None]
    sample_rate_hz: Mapped[int | None]
    sealed_at: Mapped[datetime | None]
    stored_at: Mapped[datetime | None]

    __table_args__ = (
        referable(),
        same_organization("call_id", "calls"),
        UniqueConstraint("call_id", "attempt"),
        UniqueConstraint("bucket", "object"),
        CheckConstraint("state IN ('spooling', 'sealed', 'stored', 'failed')", name="state"),
    )
