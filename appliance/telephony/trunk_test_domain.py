"""What a trunk's far side says to one OPTIONS (RFC 3261, section 11), and what a person should look at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from appliance.telephony.domain import Transport
from appliance.wire import Moment, ShortText, WireModel

Outcome = Literal[
    "answered",
    "unresolved",
    "refused",
    "no_answer",
    "unreachable",
    "closed",
    "not_sip",
    "tls_name",
    "tls_untrusted",
    "tls_failed",
]
"""`answered`: by any final SIP answer, a refusing one too. `refused`: nothing listens at that port."""


class Probed(WireModel):
    """One address that was asked. A name with two addresses is two of these."""

    target: ShortText
    """Host and port as the trunk has them."""
    address: ShortText | None
    """IP address and port; None when the name has none."""
    outcome: Outcome
    sip_status: int | None = Field(default=None, ge=200, le=699)
    sip_reason: ShortText = ""
    round_trip_ms: float | None = None
    """None without an answer, and when it is not known which of several copies was answered."""
    advice: ShortText = ""
    """In plain words: what it means, and what to look at."""


class TrunkTestResult(WireModel):
    """A test of one trunk at one time."""

    trunk_answered: bool
    """At least one address answered by SIP. Whether calls are let through, a call alone can tell."""
    checked_at: Moment
    transport: Transport
    waited_seconds: float
    """How long each address had to answer."""
    probes: tuple[Probed, ...]


_BY_STATUS = {
    401: "It is there and asks for a password, which this test does not show. If calls out are refused, "
    "check the trunk's user name and password.",
    403: "It is there and does not let this box in. Check there that its address or account is allowed.",
    408: "A proxy answers, and nothing behind it does. Check the host behind it.",
    503: "It is there and takes no calls at the moment. Look at the far side's load and health.",
}
_BY_CLASS = {
    2: "It answers.",
    3: "It is there and points elsewhere. Check the host: another one may be meant.",
    4: "It is there. That it does not know this question says nothing against calls.",
    5: "It is there and has a fault of its own. Look into the far side's log.",
    6: "It is there and declines. Check there what it allows to this box.",
}
_BY_OUTCOME: dict[Outcome, str] = {
    "unresolved": "The name does not resolve. Check its spelling, and the name server that this box asks.",
    "refused": "Nothing listens there. Check port and transport, and whether the far side runs.",
    "no_answer": "No answer in {seconds:g} s. Check address and port, a firewall between, and whether the "
    "far side answers OPTIONS at all.",
    "unreachable": "This box's network has no way to that address. Check the address, and the box's routes.",
    "closed": "It closes the connection without an answer. Check port and transport.",
    "not_sip": "What answers there is not SIP. Check port and transport.",
    "tls_name": "Its certificate is for another name. Enter as host the name that the certificate has.",
    "tls_untrusted": "Its certificate is not trusted ({detail}). Add its authority to the gateway's "
    "trusted.pem, or renew the certificate.",
    "tls_failed": "No TLS connection comes about. Check that the port is the one for TLS, and that the far "
    "side has TLS 1.2.",
}


def advice(outcome: Outcome, *, sip_status: int | None = None, seconds: float = 0, detail: str = "") -> str:
    """The sentence for a person. `detail` is what TLS says of the certificate."""
    if outcome == "answered" and sip_status is not None:
        return _BY_STATUS.get(401 if sip_status == 407 else sip_status) or _BY_CLASS[sip_status // 100]
    return _BY_OUTCOME.get(outcome, "It answers.").format(
        seconds=seconds, detail=detail[:100] or "no reason given"
    )
