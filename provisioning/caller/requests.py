"""What the caller answers to requests within a call: their BYE, CANCEL, hold, digits, refreshes."""

from __future__ import annotations

import re

from appliance.errors import InvalidInput
from provisioning.caller import sdp
from provisioning.caller.leg import Leg
from provisioning.caller.transactions import ServerTransaction, TransactionLayer

_SIGNAL = re.compile(rb"(?im)^\s*signal\s*=\s*([0-9*#A-D])")


def answer_in_dialog(leg: Leg, transaction: ServerTransaction, layer: TransactionLayer) -> None:
    """Answers one request of the call, whatever it is."""
    request = transaction.request
    match request.method:
        case "ACK":
            if leg.invitation is not None:
                leg.invitation.acknowledged.set()
        case "BYE":
            transaction.respond(200)
            leg.ended_by, leg.end_headers = leg.ended_by or "them", request.headers
            leg.finish()
        case "CANCEL":
            _cancelled(leg, transaction, layer)
        case "INVITE" | "UPDATE":
            _renegotiate(leg, transaction)
        case "INFO":
            if found := _SIGNAL.search(request.body):
                leg.info_digits.append(found[1].decode())
            transaction.respond(200)
        case "OPTIONS" | "NOTIFY" | "MESSAGE":
            transaction.respond(200)
        case _:
            transaction.respond(405)


def _cancelled(leg: Leg, transaction: ServerTransaction, layer: TransactionLayer) -> None:
    invitation = layer.invitation(transaction.request)
    if invitation is None:
        transaction.respond(481)
        return
    transaction.respond(200)
    if not invitation.final_status:
        invitation.respond(487)
        leg.final_status, leg.ended_by, leg.end_headers = 487, "them", transaction.request.headers
        leg.finish()


def _renegotiate(leg: Leg, transaction: ServerTransaction) -> None:
    """A re-INVITE or UPDATE: hold, resume, another address, or only a session refresh."""
    contact = [("Contact", f"<{leg.caller.contact}>")]
    if expires := transaction.request.headers.get("Session-Expires"):
        contact += [("Session-Expires", expires), ("Require", "timer")]
    if transaction.request.method == "INVITE":
        leg.invitation = transaction
    try:
        leg.learn_dialog(transaction.request)
        if not transaction.request.body:
            offered = transaction.request.method == "INVITE"
            ours = sdp.offer(leg.caller.host, leg.media.port, [leg.media.codec_name or "ulaw"])
            transaction.respond(200, headers=contact, body=ours.encode() if offered else b"")
            return
        theirs = sdp.parse(transaction.request.body)
        speaks = [leg.media.codec_name, *leg.caller.codecs]
        ours = theirs.answered_by(leg.caller.host, leg.media.port, speaks, hold=leg.holding)
        leg.use(theirs, next(iter(ours.codecs)))
    except InvalidInput:
        transaction.respond(488)
        return
    transaction.respond(200, headers=contact, body=ours.encode(version=2))
