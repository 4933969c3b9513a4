"""What the gateway tells of a caller's channel, and what the tool API and the room are told of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from appliance.calls.domain import Admission, AdmissionRequest
from runtime.sip.ari import Event

_SIP_CALL_ID_VARIABLE: Final = "TRUNKLINE_SIP_CALL_ID"
_MAX_TEXT: Final = 300
_NUMBER: Final = re.compile(r"\+?[0-9*#]{1,32}")


@dataclass(frozen=True, slots=True)
class CallerLeg:
    """The channel at whose other end the person is: the caller, or the one called by us."""

    channel_id: str
    trunk_id: UUID
    called: str
    caller: str
    caller_name: str | None
    sip_call_id: str
    is_outbound: bool = False

    @property
    def shown_number(self) -> str:
        """What a human sees when this caller is transferred to them; empty when there is no number."""
        return self.caller if _NUMBER.fullmatch(self.caller) else ""


def inbound_leg(event: Event) -> CallerLeg | None:
    """The caller of a StasisStart with the arguments `inbound,<trunk id>`; None when it is no such event."""
    arguments = event.get("args") or []
    channel = event["channel"]
    if len(arguments) < 2 or arguments[0] != "inbound":
        return None
    try:
        trunk_id = UUID(arguments[1])
    except ValueError:
        return None
    caller = channel.get("caller") or {}
    variables = channel.get("channelvars") or {}
    return CallerLeg(
        channel_id=str(channel["id"]),
        trunk_id=trunk_id,
        called=str((channel.get("dialplan") or {}).get("exten") or "")[:_MAX_TEXT],
        caller=str(caller.get("number") or "")[:_MAX_TEXT],
        caller_name=str(caller.get("name") or "")[:_MAX_TEXT] or None,
        sip_call_id=str(variables.get(_SIP_CALL_ID_VARIABLE) or channel["id"])[:_MAX_TEXT],
    )


def admission_request(leg: CallerLeg) -> AdmissionRequest:
    return AdmissionRequest(
        sip_call_id=leg.sip_call_id,
        called=leg.called,
        caller=leg.caller,
        caller_name=leg.caller_name,
        trunk_id=leg.trunk_id,
        gateway_channel=leg.channel_id,
    )


def room_attributes(leg: CallerLeg, admission: Admission) -> dict[str, str]:
    """The attributes of the caller's participant, named as livekit-sip names them."""
    person, box = (leg.called, leg.caller) if leg.is_outbound else (leg.caller, leg.called)
    return {
        "sip.callID": str(admission.call_id),
        "sip.callIDFull": leg.sip_call_id,
        "sip.callStatus": "ringing",
        "sip.phoneNumber": person,
        "sip.trunkPhoneNumber": box,
        "sip.trunkID": str(leg.trunk_id),
        "sip.ruleID": "",
        "trunkline.held": "false",
        "trunkline.attempt": "1",
    }
