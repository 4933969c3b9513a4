"""The use cases of recordings: a place and a key for a new one, what became of it, and its key again."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from appliance.calls.domain import RecordingGrant, RecordingSealed, RecordingState
from appliance.calls.tables import Call
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.organizations.tables import Organization
from appliance.recordings.tables import Recording
from appliance.security.keys import KeyRing
from appliance.webhooks.domain import EventName
from appliance.webhooks.outbox import announce

_RANK: dict[str, int] = {"spooling": 0, "sealed": 1, "failed": 2, "stored": 3}
"""How far a recording has come. News that arrives late never takes it back."""


async def open_recording(
    uow: UnitOfWork, keys: KeyRing, *, call_id: UUID, attempt: int, bucket: str
) -> RecordingGrant:
    """A place and a data key for the recording of one attempt; the same again when asked again.

    NotFound if the organization has no such call; Conflict if the recording is over already.
    """
    organization_id = _tenant(uow)
    wrapped_key = await _wrapped_key(uow, organization_id)
    if await uow.session.get(Call, call_id) is None:
        raise NotFound(f"There is no call {call_id}.")
    recording_id = uuid7()
    data_key, wrapped = keys.new_data_key(organization_id, wrapped_key, recording_id)
    name = f"{organization_id}/{recording_id}.rec"
    created = await uow.session.scalar(
        insert(Recording)
        .values(
            id=recording_id,
            organization_id=organization_id,
            call_id=call_id,
            attempt=attempt,
            bucket=bucket,
            object=name,
            wrapped_data_key=wrapped,
        )
        .on_conflict_do_nothing(index_elements=[Recording.call_id, Recording.attempt])
        .returning(Recording.id)
    )
    if created is None:
        known = await uow.session.scalar(
            select(Recording).where(Recording.call_id == call_id, Recording.attempt == attempt)
        )
        if known is None or known.state != "spooling" or known.wrapped_data_key is None:
            raise Conflict(f"The recording of attempt {attempt} of the call {call_id} is over.")
        recording_id, wrapped, name = known.id, known.wrapped_data_key, known.object
        bucket = known.bucket
        data_key = keys.open_data_key(organization_id, wrapped_key, recording_id, wrapped)
    return RecordingGrant(
        recording_id=recording_id,
        organization_id=organization_id,
        bucket=bucket,
        object=name,
        data_key=b64encode(data_key).decode(),
        wrapped_data_key=b64encode(wrapped).decode(),
    )


async def record_sealed(uow: UnitOfWork, recording_id: UUID, news: RecordingSealed) -> None:
    """Writes down how far a recording has come; older news than what is known changes nothing.

    NotFound if the organization has no such recording.
    """
    recording = await uow.session.scalar(
        select(Recording).where(Recording.id == recording_id).with_for_update()
    )
    if recording is None:
        raise NotFound(f"There is no recording {recording_id}.")
    if _RANK[news.state] < _RANK[recording.state]:
        return
    measured = news.model_dump(exclude={"state"}, exclude_none=True)
    for column, value in measured.items():
        setattr(recording, column, value)
    now = datetime.now(UTC)
    if news.state in {"sealed", "stored"} and recording.sealed_at is None:
        recording.sealed_at = now
    if news.state == "stored" and recording.stored_at is None:
        recording.stored_at = now
    if news.state != recording.state and news.state in {"stored", "failed"}:
        told = {
            "recording_id": str(recording_id),
            "call_id": str(recording.call_id),
            "seconds": recording.seconds,
        }
        event: EventName = "recording.ready" if news.state == "stored" else "recording.failed"
        await announce(uow, event, f"recordings/{recording_id}", told)
    recording.state = news.state


async def organization_of_recording(router: UnitOfWork, recording_id: UUID) -> UUID:
    """Whose recording it is, asked by the router role. NotFound if there is none."""
    organization_id = await router.session.scalar(
        select(Recording.organization_id).where(Recording.id == recording_id)
    )
    if organization_id is None:
        raise NotFound(f"There is no recording {recording_id}.")
    return organization_id


@dataclass(frozen=True)
class Place:
    """Where a recording belongs, and the key that opens it."""

    bucket: str
    object: str
    state: RecordingState
    data_key: bytes = field(repr=False)


async def place_of(uow: UnitOfWork, keys: KeyRing, recording_id: UUID) -> Place:
    """NotFound if the organization has no such recording or its key was deleted, which deletes the recording;
    IntegrityError if a key does not fit."""
    organization_id = _tenant(uow)
    recording = await uow.session.get(Recording, recording_id)
    if recording is None:
        raise NotFound(f"There is no recording {recording_id}.")
    if recording.wrapped_data_key is None:
        raise NotFound(f"The recording {recording_id} was deleted.", code="deleted")
    wrapped_key = await _wrapped_key(uow, organization_id)
    data_key = keys.open_data_key(organization_id, wrapped_key, recording_id, recording.wrapped_data_key)
    return Place(recording.bucket, recording.object, cast("RecordingState", recording.state), data_key)


async def _wrapped_key(uow: UnitOfWork, organization_id: UUID) -> bytes:
    wrapped = await uow.session.scalar(
        select(Organization.wrapped_key).where(Organization.id == organization_id)
    )
    if wrapped is None:
        raise NotFound(f"There is no organization {organization_id}.")
    return wrapped


def _tenant(uow: UnitOfWork) -> UUID:
    if uow.organization_id is None:
        raise ValueError("a unit of work of one organization is needed")
    return uow.organization_id
