"""What the gateway told about a call's signalling and media, for its row: the ladder and the RTCP quality.

The ladder is made from ARI's events. It names methods and statuses, never numbers or digits.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

from appliance.calls.domain import LadderEntry, LegQuality
from runtime.sip.ari import Event

_MAX_ENTRIES: Final = 500
_SUMMARY_NAMES: Final = {"lp": "rxploss", "rlp": "txploss"}
_STATE_STATUS: Final = {"Ring": "INVITE", "Ringing": "180", "Up": "200"}


class Ladder:
    """Bounded: after 500 entries only the last ones are kept out, the beginning stays."""

    def __init__(self) -> None:
        self.entries: list[LadderEntry] = []

    def add(
        self,
        leg: str,
        direction: str,
        what: str,
        *,
        detail: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> None:
        if len(self.entries) < _MAX_ENTRIES:
            self.entries.append(
                LadderEntry(
                    at=at or datetime.now(UTC),
                    leg=leg,
                    direction=direction,
                    method_or_status=what,
                    detail=detail,
                )
            )

    def note(self, leg: str, event: Event, *, was_up: bool) -> None:
        """Takes what an event of this leg says about SIP."""
        at = event_time(event)
        match event["type"]:
            case "ChannelHold":
                self.add(leg, "in", "INVITE", detail={"media": "held"}, at=at)
            case "ChannelUnhold":
                self.add(leg, "in", "INVITE", detail={"media": "resumed"}, at=at)
            case "ChannelDtmfReceived":
                self.add(leg, "in", "DTMF", at=at)
            case "ChannelStateChange" if leg != "caller":
                status = _STATE_STATUS.get(str(event["channel"].get("state")))
                if status is not None:
                    self.add(leg, "in", status, at=at)
            case "ChannelHangupRequest":
                self.add(leg, "in", "BYE" if was_up else "CANCEL", detail=_cause(event), at=at)
            case "ChannelDestroyed":
                self.add(leg, "local", "released", detail=_cause(event), at=at)
            case _:
                return


def _cause(event: Event) -> dict[str, Any]:
    kept = {"cause": event.get("cause"), "sip_status": event.get("tech_cause")}
    return {key: value for key, value in kept.items() if isinstance(value, int)}


def event_time(event: Event) -> datetime:
    """When Asterisk says that it happened; now, if it does not say."""
    try:
        return datetime.strptime(str(event["timestamp"]), "%Y-%m-%dT%H:%M:%S.%f%z")
    except (KeyError, ValueError):
        return datetime.now(UTC)


def quality_of(statistics: dict[str, Any]) -> LegQuality:
    """A leg's quality from ARI's `rtp_statistics`: losses as shares from 0 to 1, times in milliseconds."""
    rx, tx = _count(statistics, "rxcount"), _count(statistics, "txcount")
    return LegQuality(
        rx_packets=rx,
        tx_packets=tx,
        rx_loss=_share(_count(statistics, "rxploss"), rx),
        tx_loss=_share(_count(statistics, "txploss"), tx),
        rx_jitter_ms=_milliseconds(statistics, "rxjitter"),
        tx_jitter_ms=_milliseconds(statistics, "txjitter"),
        rtt_ms=_milliseconds(statistics, "rtt"),
    )


def quality_of_summary(text: str) -> LegQuality:
    """A leg's quality from `RTPAUDIOQOS`, which Asterisk sets on a channel as its media ends:
    `ssrc=1;themssrc=2;lp=0;rxjitter=0.0;rxcount=121;txjitter=0.0;txcount=122;rlp=0;rtt=0.0`."""
    statistics: dict[str, Any] = {}
    for pair in text.split(";"):
        name, _, value = pair.partition("=")
        name = _SUMMARY_NAMES.get(name.strip(), name.strip())
        try:
            statistics[name] = int(value) if value.strip().isdigit() else float(value)
        except ValueError:
            continue
    return quality_of(statistics)


def _count(statistics: dict[str, Any], key: str) -> int | None:
    value = statistics.get(key)
    return value if isinstance(value, int) and value >= 0 else None


def _share(lost: int | None, arrived: int | None) -> float | None:
    if lost is None or arrived is None:
        return None
    return lost / (lost + arrived) if lost + arrived else 0.0


def _milliseconds(statistics: dict[str, Any], key: str) -> float | None:
    value = statistics.get(key)
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return round(value * 1000, 3)
