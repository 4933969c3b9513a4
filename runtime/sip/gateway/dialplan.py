"""Where the calls of each trunk go: into the bridge, and past it when the bridge is away.

What a caller writes into the request (dialled user, names) is never an argument of a dialplan application:
the bridge reads it from the channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.errors import InvalidInput
from appliance.telephony.domain import Number, Trunk
from runtime.sip.gateway.addresses import overflow_uri
from runtime.sip.gateway.config_text import ConfigText, dialplan_word, section_name
from runtime.sip.gateway.names import FALLBACK_CONTEXT, HEALTH_CONTEXT, context_name
from runtime.sip.gateway.pjsip import registered_user

# Numbers only. The names of Asterisk's own extensions (h, i, t, ...) are letters and never match.
_ANY_NUMBER = "_[+0-9*#]!"


def render_trunk(
    trunk: Trunk, numbers: Iterable[Number], *, ari_app: str
) -> tuple[ConfigText, list[InvalidInput]]:
    """The context of one trunk, and what is wrong with numbers whose overflow had to be left out.

    `numbers` are those of the box; the ones that may come in by this trunk count.
    """
    text = ConfigText(f"trunk {trunk.id}")
    text.section(context_name(trunk.id))
    own = [number for number in numbers if number.trunk_id in {None, trunk.id}]
    lost: list[InvalidInput] = []
    for number in own:
        if not number.overflow:
            continue
        try:
            overflow = _overflow(trunk, number.overflow)
            for dialled in _written_forms(number.number):
                _extension(text, dialled, trunk, ari_app, overflow=overflow)
        except InvalidInput as error:
            lost.append(error)
    _extension(text, _ANY_NUMBER, trunk, ari_app, overflow=None)
    _called_back(text, trunk, own)
    text.line(f"include = {HEALTH_CONTEXT}")
    return text, lost


def render_health(*, accepting: bool, ari_app: str) -> ConfigText:
    """The context that makes `OPTIONS sip:health@gateway` succeed while the bridge takes calls.

    PJSIP answers OPTIONS by 200 when the user is an extension of the endpoint's context and by 404 otherwise.
    Asterisk keeps a context `stasis-<app>` for as long as the bridge's websocket stands, so the bridge's
    death needs nobody to write anything; fullness and draining are written by the bridge.
    """
    text = ConfigText("OPTIONS follow the health of the bridge")
    text.section(HEALTH_CONTEXT)
    if accepting:
        text.line(f"include = stasis-{section_name(ari_app, field='ari_app')}")
    return text


def _extension(text: ConfigText, pattern: str, trunk: Trunk, ari_app: str, *, overflow: str | None) -> None:
    app = section_name(ari_app, field="ari_app")
    text.line(f"exten = {pattern},1,Set(TRUNKLINE_TRUNK={trunk.id})")
    text.line(" same = n,Set(TRUNKLINE_SIP_CALL_ID=${CHANNEL(pjsip,call-id)})")
    if overflow:
        text.line(f" same = n,Set(TRUNKLINE_OVERFLOW={overflow})")
    text.line(f" same = n,Stasis({app},inbound,{trunk.id})")
    text.line(f" same = n,Goto({FALLBACK_CONTEXT},s,1)")


def _called_back(text: ConfigText, trunk: Trunk, own: list[Number]) -> None:
    """A PBX may call the registered account instead of a number: that means the trunk's only number."""
    user = registered_user(trunk)
    mine = [number for number in own if number.trunk_id == trunk.id]
    if user is None or len(mine) != 1:
        return
    try:
        name = section_name(user, field="auth.username")
        number = _number(mine[0].number)
    except InvalidInput:
        return
    if name not in _written_forms(number):
        text.line(f"exten = {name},1,Goto({number},1)")


def _overflow(trunk: Trunk, overflow: str) -> str:
    domain = trunk.host or next((match for match in trunk.match if "/" not in match), None)
    return dialplan_word(overflow_uri(overflow, domain), field="overflow")


def _written_forms(number: str) -> list[str]:
    """A number as it may be dialled: with and without the plus."""
    bare = _number(number).removeprefix("+")
    return [bare, f"+{bare}"]


def _number(number: str) -> str:
    if not number.removeprefix("+").isdigit() or not number.isascii():
        raise InvalidInput("A number may only hold digits and a leading plus.", field="number")
    return number
