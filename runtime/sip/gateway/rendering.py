"""The gateway's files from the trunks and numbers of the box. Pure: the same input gives the same text."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import InvalidInput
from appliance.telephony.domain import GatewayConfiguration
from runtime.sip.gateway import dialplan, pjsip
from runtime.sip.gateway.config_text import ConfigText

PJSIP_FILE = "pjsip_trunks.conf"
DIALPLAN_FILE = "extensions_trunks.conf"
HEALTH_FILE = "extensions_health.conf"


@dataclass(frozen=True)
class Problem:
    """What could not be written: a whole trunk, or the overflow of one of its numbers."""

    trunk_id: str
    field: str
    message: str


@dataclass(frozen=True)
class Rendered:
    """File names with their text, and what had to be left out of them."""

    files: dict[str, str]
    problems: tuple[Problem, ...]


def render(configuration: GatewayConfiguration, *, ari_app: str, rtp_timeout_seconds: int) -> Rendered:
    """Renders every trunk that can be written. One that cannot is left out whole and reported: a wrong trunk
    never takes the others with it."""
    objects = ConfigText("Written by the bridge from the trunks; changes are lost.")
    contexts = ConfigText("Written by the bridge from the trunks and numbers; changes are lost.")
    problems: list[Problem] = []
    names: set[str] = set()
    for trunk in sorted(configuration.trunks, key=lambda trunk: trunk.id):
        own = {str(trunk.id)}
        if trunk.inbound_auth:
            own.add(trunk.inbound_auth.username.casefold())
        try:
            if own & names:
                raise InvalidInput("Another trunk has this account name.", field="inbound_auth.username")
            trunk_objects = pjsip.render_trunk(trunk, rtp_timeout_seconds=rtp_timeout_seconds)
            trunk_contexts, lost = dialplan.render_trunk(trunk, configuration.numbers, ari_app=ari_app)
        except InvalidInput as error:
            problems.append(Problem(str(trunk.id), error.field, error.message))
            continue
        names |= own
        objects.extend(trunk_objects)
        contexts.extend(trunk_contexts)
        problems += [Problem(str(trunk.id), error.field, error.message) for error in lost]
    return Rendered({PJSIP_FILE: str(objects), DIALPLAN_FILE: str(contexts)}, tuple(problems))
