"""Keeps the gateway's trunks as the tool API says: written when changed, loaded without dropping calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from appliance.errors import TrunklineError
from appliance.settings import Settings
from appliance.telephony.domain import GatewayConfiguration
from runtime.sip.gateway import dialplan
from runtime.sip.gateway.files import replace_if_changed
from runtime.sip.gateway.rendering import DIALPLAN_FILE, HEALTH_FILE, PJSIP_FILE, Problem, Rendered, render

log = structlog.get_logger()

_RELOADS = {
    PJSIP_FILE: (
        "res_pjsip.so",
        "res_pjsip_endpoint_identifier_ip.so",
        "res_pjsip_outbound_registration.so",
    ),
    DIALPLAN_FILE: ("pbx_config.so",),
    HEALTH_FILE: ("pbx_config.so",),
}
_RTP_BACKSTOP_SECONDS = 10
"""The bridge ends a call without media; Asterisk does so by itself this much later."""


class Ari(Protocol):
    """What is needed of the ARI client."""

    async def request(self, method: str, path: str) -> Any: ...


class ToolApi(Protocol):
    """What is needed of the client of the tool API."""

    async def gateway(self) -> GatewayConfiguration: ...


class GatewayConfigurator:
    """Writes the gateway's files and has them loaded.

    What was written and not loaded (Asterisk away) is loaded at the next chance. The first time everything is
    loaded, as nobody knows what the running gateway has read.
    """

    def __init__(self, settings: Settings, ari: Ari) -> None:
        self._gateway = settings.gateway
        self._ari = ari
        self._unloaded = {module: None for modules in _RELOADS.values() for module in modules}
        self._problems: tuple[Problem, ...] = ()

    async def apply(self, configuration: GatewayConfiguration) -> None:
        """Renders, writes and loads the trunks. Raises OSError and the errors of ARI; repeat it then."""
        rendered = render(
            configuration,
            ari_app=self._gateway.ari_app,
            rtp_timeout_seconds=self._gateway.rtp_timeout_seconds + _RTP_BACKSTOP_SECONDS,
        )
        self._report(rendered)
        for name, text in rendered.files.items():
            await self._write(name, text)
        await self._load()

    async def show_health(self, *, accepting: bool) -> None:
        """Makes OPTIONS say whether new calls are taken. Raises as `apply` does."""
        await self._write(
            HEALTH_FILE, str(dialplan.render_health(accepting=accepting, ari_app=self._gateway.ari_app))
        )
        await self._load()

    async def _write(self, name: str, text: str) -> None:
        if await asyncio.to_thread(replace_if_changed, self._gateway.config_dir / name, text):
            self._unloaded.update(dict.fromkeys(_RELOADS[name]))

    async def _load(self) -> None:
        for module in list(self._unloaded):
            await self._ari.request("PUT", f"/asterisk/modules/{module}")
            del self._unloaded[module]

    def _report(self, rendered: Rendered) -> None:
        """Says each problem once, until it changes. The message never holds a value."""
        for problem in rendered.problems:
            if problem not in self._problems:
                log.error(
                    "trunk cannot be configured",
                    trunk_id=problem.trunk_id,
                    setting=problem.field,
                    reason=problem.message,
                )
        self._problems = rendered.problems


async def run(
    settings: Settings, ari: Ari, tool_api: ToolApi, *, accepting: Callable[[], bool] = lambda: True
) -> None:
    """Follows the tool API until cancelled, within `gateway.trunk_poll_seconds`.

    While the tool API or Asterisk does not answer, the gateway keeps the configuration it has.
    `accepting` says whether the bridge takes new calls (ready, not full, not draining).
    """
    configurator = GatewayConfigurator(settings, ari)
    trouble = ""
    while True:
        failed: list[str] = []
        for step in (
            lambda: configurator.show_health(accepting=accepting()),
            lambda: _follow_once(configurator, tool_api),
        ):
            try:
                await step()
            except (TrunklineError, OSError) as error:
                failed.append(str(error))
        if failed and failed[0] != trouble:
            log.warning("gateway keeps its configuration", reason=failed[0])
        elif trouble and not failed:
            log.info("gateway configuration follows again")
        trouble = failed[0] if failed else ""
        await asyncio.sleep(settings.gateway.trunk_poll_seconds)


async def _follow_once(configurator: GatewayConfigurator, tool_api: ToolApi) -> None:
    await configurator.apply(await tool_api.gateway())
