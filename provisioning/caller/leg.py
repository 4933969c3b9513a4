"""A call of the test caller, placed or received: its dialog (RFC 3261 section 12), media, history."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from appliance.errors import InvalidInput, TrunklineError, Unavailable
from provisioning.caller import sdp
from provisioning.caller.capture import Capture
from provisioning.caller.codecs import Samples
from provisioning.caller.rtp import RtpStream, Utterance
from provisioning.caller.sip_message import Headers, NameAddress, Request, Response
from provisioning.caller.transactions import ClientTransaction, ServerTransaction
from provisioning.caller.voice import read_recording, say

if TYPE_CHECKING:
    from provisioning.caller.user_agent import SipCaller

_POLL_SECONDS = 0.02


class CallFailed(TrunklineError):  # noqa: N818
    """The call was refused; `status` is the SIP status (0: nobody answered)."""

    code = "call_failed"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Leg:
    """A call. Methods that talk to the other side raise Unavailable when it does not answer."""

    def __init__(self, caller: SipCaller, *, call_id: str, direction: Literal["out", "in"]) -> None:
        self.caller = caller
        self.call_id = call_id
        self.direction = direction
        self.media = RtpStream(caller.host)
        self.ringing = asyncio.Event()
        self.up = asyncio.Event()
        self.over = asyncio.Event()
        self.final_status: int | None = None
        """Status of the final response to the INVITE."""
        self.reason = ""
        self.headers = Headers()
        """Of that final response; of the INVITE for a call that came in."""
        self.ended_by: Literal["", "us", "them"] = ""
        self.end_headers = Headers()
        """Of their BYE or CANCEL (for example `Reason`)."""
        self.info_digits: list[str] = []
        """Digits that came by SIP INFO."""
        self.held_by_them = False
        self.holding = False
        self.invited_ns = time.time_ns()
        self.ringing_ns = self.answered_ns = self.ended_ns = 0
        self.local_uri = self.remote_uri = self.remote_target = ""
        self.local_tag = self.remote_tag = ""
        self.route: list[str] = []
        self.cseq = 1
        self.remote: sdp.SessionDescription | None = None
        self.invitation: ServerTransaction | None = None
        self.pending: ClientTransaction | None = None
        """The INVITE on its way."""
        self.auth: tuple[str, str] | None = None
        self._sdp_version = 1

    # --- waiting ------------------------------------------------------------------------------------------

    async def answered(self, timeout: float = 30) -> None:
        """Waits until the call is up. CallFailed when it is refused, Unavailable when late."""
        await self._first(self.up, self.over, timeout=timeout, what="was not answered")
        if not self.up.is_set():
            raise CallFailed(
                f"The call was refused: {self.final_status or 0} {self.reason}.", self.final_status or 0
            )

    async def final(self, timeout: float = 35) -> int:
        """The INVITE's final status, whatever it is (0: no answer at all)."""
        await self._first(self.up, self.over, timeout=timeout, what="has no final answer")
        return self.final_status or 0

    async def rings(self, timeout: float = 30) -> None:
        await self._first(self.ringing, self.up, self.over, timeout=timeout, what="does not ring")

    async def ended(self, timeout: float = 30) -> None:
        """Waits until either side has ended the call."""
        await self._first(self.over, timeout=timeout, what="has not ended")

    async def _first(self, *events: asyncio.Event, timeout: float, what: str) -> None:
        tasks = [asyncio.create_task(event.wait()) for event in events]
        try:
            done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if not done:
            raise Unavailable(f"The call {what} within {timeout:g} s.")

    # --- sound --------------------------------------------------------------------------------------------

    @property
    def heard(self) -> Capture:
        """What came in. InvalidInput before media has begun."""
        if self.media.heard is None:
            raise InvalidInput("The call has no media yet.", remedy="Wait for `answered`.")
        return self.media.heard

    @property
    def said(self) -> Capture:
        """What went out."""
        if self.media.said is None:
            raise InvalidInput("The call has no media yet.", remedy="Wait for `answered`.")
        return self.media.said

    @property
    def digits(self) -> list[str]:
        """RFC 4733 digits that came in."""
        return self.media.digits

    async def speak(self, text: str, *, wait: bool = True) -> Utterance:
        """Says the text; returns when its last sample has left, or at once with `wait=False`."""
        return await self.play(await say(text, self.media.rate_hz), wait=wait)

    async def play(self, sound: Path | str | Samples, *, wait: bool = True) -> Utterance:
        """Plays a mono WAV, or samples at `media.rate_hz`."""
        samples = sound if isinstance(sound, np.ndarray) else read_recording(Path(sound), self.media.rate_hz)
        utterance = self.media.play(samples)
        if wait:
            await self.media.sent(utterance)
        return utterance

    async def silence(self, seconds: float) -> None:
        """Says nothing for that long (or until the call is over)."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return

    async def hears_speech(self, timeout: float = 30, *, since_ns: int | None = None) -> int:
        """Waits for the other side's speech after `since_ns` (now); the receive time of its first packet."""
        start = time.time_ns() if since_ns is None else since_ns
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.media.heard is not None and (at_ns := self.heard.first_speech_after(start)) is not None:
                return at_ns
            if self.over.is_set():
                raise Unavailable("The call ended before anything was heard.")
            await asyncio.sleep(_POLL_SECONDS)
        raise Unavailable(f"Nothing was heard within {timeout:g} s.")

    async def hears_quiet(self, seconds: float = 0.8, timeout: float = 60) -> int:
        """Waits until the other side has been quiet for that long; the receive time of its last speech."""
        start, deadline = time.time_ns(), time.monotonic() + timeout
        while time.monotonic() < deadline:
            last = max(start, self.heard.last_voiced_ns)
            if time.time_ns() - last >= seconds * 1e9 or self.over.is_set():
                return self.heard.last_voiced_ns
            await asyncio.sleep(_POLL_SECONDS)
        raise Unavailable(f"The other side was not quiet within {timeout:g} s.")

    async def send_dtmf(self, digits: str, *, timeout: float = 30) -> None:
        """Sends RFC 4733 digits and waits until they have left."""
        self.media.send_digits(digits)
        deadline = time.monotonic() + timeout
        while self.media.sending_digits:
            if time.monotonic() > deadline or self.over.is_set():
                raise Unavailable("The digits could not be sent.")
            await asyncio.sleep(_POLL_SECONDS)

    async def send_info_dtmf(self, digit: str) -> int:
        """Sends one digit by SIP INFO (application/dtmf-relay); the status of the answer."""
        request = self.next_request("INFO")
        request.headers.add("Content-Type", "application/dtmf-relay")
        request.body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        return (await self.caller.transact(request, self)).status

    # --- the dialog ---------------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Re-INVITE with sendonly: the other side hears our silence. CallFailed when it refuses."""
        await self._reinvite("sendonly")
        self.holding = True

    async def resume(self) -> None:
        await self._reinvite("sendrecv")
        self.holding = False

    async def _reinvite(self, direction: sdp.Direction) -> None:
        offer = sdp.offer(self.caller.host, self.media.port, [self.media.codec_name]).with_direction(
            direction
        )
        self._sdp_version += 1
        request = self.next_request("INVITE")
        request.headers.add("Content-Type", "application/sdp")
        request.body = offer.encode(version=self._sdp_version)
        response = await self.caller.transact(request, self)
        if response.status >= 300:
            raise CallFailed(
                f"The re-INVITE was refused: {response.status} {response.reason}.", response.status
            )
        self.use(sdp.parse(response.body))

    async def hangup(self, timeout: float = 10) -> None:
        """Ends the call in whatever state it is: BYE, CANCEL or a refusal. Silent when it is over already."""
        if self.over.is_set():
            return
        if self.up.is_set():
            self.ended_by = "us"
            try:
                async with asyncio.timeout(timeout):
                    await self.caller.transact(self.next_request("BYE"), self)
            except (TimeoutError, Unavailable):
                pass  # the other side is gone: the call is over all the same
            self.finish()
        elif self.direction == "in":
            self.refuse(603)
        else:
            from provisioning.caller.placing import cancel

            self.ended_by = "us"
            await cancel(self.caller, self)
            await self.ended(timeout + 25)

    # --- a call that came in ------------------------------------------------------------------------------

    def ring(self) -> None:
        """Answers 180."""
        self._invitation().respond(180, headers=self._contact())

    async def answer(self, timeout: float = 10) -> None:
        """Answers 200 with our media and waits for the ACK. InvalidInput (and 488) without a common codec."""
        invitation = self._invitation()
        try:
            theirs = sdp.parse(invitation.request.body)
            ours = theirs.answered_by(self.caller.host, self.media.port, self.caller.codecs)
        except InvalidInput:
            self.refuse(488)
            raise
        invitation.respond(200, headers=self._contact(), body=ours.encode())
        self.final_status = 200
        self.use(theirs, next(iter(ours.codecs)))
        self.established()
        async with asyncio.timeout(timeout):
            await invitation.acknowledged.wait()

    def refuse(
        self, status: int = 486, *, reason: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Refuses with that status (3xx: give a Contact)."""
        self.final_status, self.ended_by = status, "us"
        self._invitation().respond(status, reason=reason, headers=headers)
        self.finish()

    def _invitation(self) -> ServerTransaction:
        if self.invitation is None:
            raise InvalidInput("This call did not come in.", remedy="Only a received call can be answered.")
        return self.invitation

    def _contact(self) -> list[tuple[str, str]]:
        return [("Contact", f"<{self.caller.contact}>")]

    # --- what the user agent tells ------------------------------------------------------------------------

    def use(self, theirs: sdp.SessionDescription, codec: str = "") -> None:
        """Begins or changes the media by what the other side described."""
        if not theirs.codecs:
            raise InvalidInput("The other side names no codec that we speak.")
        self.remote, self.held_by_them = theirs, theirs.held
        if theirs.address != "0.0.0.0":  # noqa: S104 - the old way to say hold
            chosen = codec or next(iter(theirs.codecs))
            self.media.start((theirs.address, theirs.port), chosen, theirs.codecs, theirs.dtmf_payload)
        self.media.pause(theirs.direction == "inactive" or theirs.address == "0.0.0.0")  # noqa: S104

    def established(self) -> None:
        self.answered_ns = time.time_ns()
        self.up.set()

    def finish(self) -> None:
        """The call is over; frees its port."""
        if not self.over.is_set():
            self.ended_ns = time.time_ns()
            self.over.set()
            self.media.close()
            self.caller.forget(self)

    def learn_dialog(self, message: Request | Response) -> None:
        """Takes target, tag and route from the message that made the dialog."""
        if isinstance(message, Response):
            self.remote_tag = message.to_tag
            self.route = [item for value in message.headers.all("Record-Route") for item in value.split(",")][
                ::-1
            ]
        if contact := message.headers.get("Contact"):
            self.remote_target = NameAddress.parse(contact).uri

    def next_request(self, method: str) -> Request:
        """A request of this dialog with the next CSeq."""
        self.cseq += 1
        return self.caller.build(self, method, self.cseq)
