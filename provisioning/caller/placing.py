"""An INVITE of ours, from its first sending to its call's end or its CANCEL (RFC 3261 sections 9 and 13)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from appliance.errors import InvalidInput, NotAllowed, Unavailable
from provisioning.caller import sdp
from provisioning.caller.digest import CHALLENGES, answer_challenge
from provisioning.caller.leg import Leg
from provisioning.caller.sip_message import Request, Response
from provisioning.caller.transactions import TIMEOUT_SECONDS, ClientTransaction

if TYPE_CHECKING:
    from provisioning.caller.user_agent import SipCaller

_RING_TIMEOUT_SECONDS = 180.0


async def place(caller: SipCaller, leg: Leg, headers: dict[str, str], body: bytes) -> None:
    """Drives the leg's INVITE; every end of it shows at the leg, none is raised."""
    try:
        await _drive(caller, leg, headers, body)
    except (Unavailable, InvalidInput, NotAllowed) as error:
        leg.reason = leg.reason or str(error)
        leg.finish()


async def _drive(caller: SipCaller, leg: Leg, headers: dict[str, str], body: bytes) -> None:
    challenge: Response | None = None
    while True:
        request = caller.build(leg, "INVITE", leg.cseq)
        for name, value in headers.items():
            request.headers.set(name, value)
        request.headers.add("Content-Type", "application/sdp")
        request.body = body
        if challenge is not None and leg.auth is not None:
            answer_challenge(request, challenge, leg.auth)
        transaction = await caller.layer.send(request, caller.destination(leg))
        leg.pending = transaction
        response = await _final(leg, transaction)
        if response.status not in CHALLENGES or challenge is not None or leg.auth is None:
            break
        challenge = response
        leg.cseq += 1
    leg.final_status, leg.reason, leg.headers = response.status, response.reason, response.headers
    if response.status >= 300:
        leg.finish()
        return
    leg.learn_dialog(response)
    await caller.acknowledge(leg, request.cseq[0])
    if leg.ended_by == "us":  # the CANCEL came too late
        leg.up.set()
        await caller.transact(leg.next_request("BYE"), leg)
        leg.finish()
        return
    leg.use(sdp.parse(response.body))
    leg.established()
    while not leg.over.is_set():  # a lost ACK shows as the same 2xx again
        with contextlib.suppress(Unavailable):
            if (await transaction.next(1.0)).status < 300:
                await caller.acknowledge(leg, request.cseq[0])


async def _final(leg: Leg, transaction: ClientTransaction) -> Response:
    while True:
        seconds = _RING_TIMEOUT_SECONDS if transaction.provisional.is_set() else TIMEOUT_SECONDS
        response = await transaction.next(seconds)
        if response.status >= 200:
            return response
        if response.status > 100 and not leg.ringing.is_set():
            leg.ringing_ns = time.time_ns()
            leg.ringing.set()
        if response.body and leg.media.heard is None:
            with contextlib.suppress(InvalidInput):
                leg.use(sdp.parse(response.body))  # early media


async def cancel(caller: SipCaller, leg: Leg) -> None:
    """CANCELs an INVITE without a final answer: 487 ends its leg, or our BYE if the 200 was quicker."""
    transaction = leg.pending
    if transaction is None:
        raise InvalidInput("The call was not placed by us.")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await transaction.provisional.wait()
    if transaction.done:
        return
    invite = transaction.request
    request = Request(method="CANCEL", uri=invite.uri)
    for name in ("Via", "Max-Forwards", "Route", "From", "To", "Call-ID"):
        for value in invite.headers.all(name):
            request.headers.add(name, value)
    request.headers.add("CSeq", f"{invite.cseq[0]} CANCEL")
    await caller.layer.send(request, transaction.to)
