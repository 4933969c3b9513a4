"""What a backup says of itself: its last part, and what the rest of it is compared with."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Frozen):
    """One thing of the backup; the archive holds it in pieces, in order."""

    name: str
    size_bytes: int
    sha256: str


class Bucket(_Frozen):
    """A bucket whose objects the database knows, and which is not in the backup."""

    name: str
    recordings: int
    size_bytes: int


class Manifest(_Frozen):
    format: int = 1
    made_at: datetime
    version: str
    """Of Trunkline."""
    schema_revision: str
    postgres: str
    """The version of the server; pg_restore needs one that is no older."""
    parts: tuple[Part, ...]
    rows: dict[str, int]
    """Of the main tables, in the very snapshot that was written."""
    buckets: tuple[Bucket, ...]


class LastBackup(_Frozen):
    """What the box keeps of its newest backup (`box.last_backup`)."""

    file: str
    made_at: datetime
    size_bytes: int
    verified_at: datetime
