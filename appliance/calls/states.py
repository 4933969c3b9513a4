"""The states of a call. News may arrive late, twice or out of order; a state never goes backwards."""

from __future__ import annotations

from appliance.calls.domain import CallStatus, ProgressStatus

_BEFORE_ANSWER: frozenset[CallStatus] = frozenset({"admitted", "ringing"})
FINAL: frozenset[CallStatus] = frozenset({"ended", "abandoned"})


def after_progress(current: CallStatus, news: ProgressStatus) -> CallStatus:
    """The state after a piece of news; the present one when the news is older than it or changes nothing."""
    if current in FINAL or news == "agent_lost":
        return current
    if news == "ringing":
        return "ringing" if current == "admitted" else current
    if news == "answered":
        return "answered" if current in _BEFORE_ANSWER or current == "transferring" else current
    if news == "held":
        return "held"
    if news == "transferring":
        return "transferring"
    return "answered"
