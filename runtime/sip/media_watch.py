"""Looks at a call's RTP now and then: keeps the last statistics, and notices when nothing comes any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from appliance.calls.domain import LegQuality
from appliance.errors import TrunklineError
from runtime.sip.ari import AriClient, Event
from runtime.sip.ladder import quality_of, quality_of_summary

_LONGEST_INTERVAL_SECONDS: Final = 5.0


class MediaWatch:
    """`quality` is the state of the last look, because Asterisk forgets a channel with its end."""

    def __init__(self, ari: AriClient) -> None:
        self._ari = ari
        self.quality: dict[str, LegQuality] = {}
        self._received: dict[str, int | None] = {}

    async def look(self, leg: str, channel_id: str) -> bool:
        """Takes a leg's statistics; True when packets have come since the last look, or nobody knows."""
        try:
            statistics: dict[str, Any] = await self._ari.rtp_statistics(channel_id)
        except TrunklineError:
            return True
        quality = quality_of(statistics)
        self.quality[leg] = quality
        before = self._received.get(leg)
        self._received[leg] = quality.rx_packets
        return quality.rx_packets is None or quality.rx_packets != before

    def take_summary(self, leg: str, event: Event) -> None:
        """Takes what Asterisk sums up when the media of a leg ends: its channel cannot be asked any more."""
        if event["type"] == "ChannelVarset" and event.get("variable") == "RTPAUDIOQOS":
            self.quality[leg] = quality_of_summary(str(event.get("value", "")))

    async def watch(
        self,
        channel_id: Callable[[], str],
        *,
        heard_at: Callable[[], float],
        is_exempt: Callable[[], bool],
        timeout_seconds: float,
        on_silent: Callable[[], None],
    ) -> None:
        """Calls `on_silent` once when for so long neither audio nor any packet came from the caller.

        `heard_at` is the time of the caller's last audio by `time.monotonic`; a held call (`is_exempt`) may
        be silent.
        """
        alive_at = time.monotonic()
        interval_seconds = min(_LONGEST_INTERVAL_SECONDS, timeout_seconds / 4)
        while True:
            await asyncio.sleep(interval_seconds)
            if await self.look("caller", channel_id()) or is_exempt():
                alive_at = time.monotonic()
            alive_at = max(alive_at, heard_at())
            if time.monotonic() - alive_at > timeout_seconds:
                on_silent()
                return
