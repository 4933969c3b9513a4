"""What a browser is admitted with: its ticket to the room, and the admission that carries it.

The browser stands where the bridge stands (docs/adr/0150): it joins as the caller, active from the first
moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from livekit import api

from appliance.agents.domain import AgentSnapshot
from appliance.calls.admission import room_of
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Admission, AdmissionEscalation, AdmissionLimits
from appliance.calls.tokens import CallTokens
from appliance.settings import Settings


def browser_ticket(
    settings: Settings, call_id: UUID, *, lifetime: timedelta, speaks: bool = True, mode: str | None = None
) -> str:
    """A LiveKit token: this room alone, a microphone for who speaks, and nothing else.

    `mode` is what the worker reads as `trunkline.mode`; without it the browser is a telephone to the worker.
    """
    grants = api.VideoGrants(
        room_join=True,
        room=room_of(call_id),
        can_publish=speaks,
        can_publish_sources=["microphone"] if speaks else [],
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=False,
    )
    attributes = {
        "sip.callID": str(call_id),
        "sip.callStatus": "active",
        "trunkline.held": "false",
        "trunkline.attempt": "1",
    }
    if mode is not None:
        attributes["trunkline.mode"] = mode
    return (
        api.AccessToken(settings.rooms.api_key, settings.rooms.api_secret.reveal())
        .with_identity(f"sip-{call_id}")
        .with_grants(grants)
        .with_attributes(attributes)
        .with_ttl(lifetime)
        .to_jwt()
    )


def browser_admission(
    settings: Settings,
    tokens: CallTokens,
    *,
    call_id: UUID,
    organization_id: UUID,
    snapshot: AgentSnapshot,
    ticket: str,
    seconds: int,
    now: datetime,
) -> Admission:
    """The admission of a browser's call whose place has been taken; it lasts at most `seconds`."""
    metadata = DispatchMetadata(
        call_id=call_id,
        organization_id=organization_id,
        call_token=tokens.mint(call_id, organization_id, 1, now),
        attempt=1,
    )
    return Admission(
        call_id=call_id,
        organization_id=organization_id,
        room_name=room_of(call_id),
        participant_identity=f"sip-{call_id}",
        participant_token=ticket,
        agent_name=settings.worker.agent_name,
        dispatch_metadata=metadata.encode(),
        limits=AdmissionLimits(max_duration_seconds=seconds),
        language=snapshot.language,
        escalation=AdmissionEscalation(target=snapshot.escalation.target),
    )
