"""Trunks: the list with the gateway's word on each, a new one, and each one's settings.

Passwords go in and never come out: a field that is left empty keeps what is stored.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from pydantic import ValidationError

from appliance.access.domain import Actor, Right
from appliance.clients.bridge import probe_trunk
from appliance.database.revision import CHANGED, revision_of
from appliance.errors import AtCapacity, Conflict, InvalidInput, Unavailable
from appliance.telephony import lines
from appliance.telephony.lines_domain import ShownTrunk, TrunkInput
from appliance.telephony.trunk_test_domain import TrunkTestResult
from appliance.telephony.trunk_tests import begin_trunk_test, has_far_side
from console.trunks.gateway import states_of_trunks
from console.web.dependencies import AnyRequest
from console.web.features import NavigationEntry
from console.web.form_errors import WHOLE, lines_of, sentences
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Trunks", "/trunks", Right.TRUNKS_READ, order=45, group="Set-up")]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
TEXTS = (
    *("name", "transport", "host", "port", "auth_username", "inbound_username", "srtp", "qualify_seconds"),
    "max_calls",
)
PASSWORDS = ("auth_password", "inbound_password")
LISTS = ("match", "outbound_proxies")
CODECS = ("opus", "g722", "alaw", "ulaw")
EMPTY: dict[str, Any] = {
    **dict.fromkeys((*TEXTS, *LISTS), ""),
    "transport": "udp",
    "srtp": "off",
    "qualify_seconds": "30",
    "codecs": CODECS,
    "register_at_host": False,
}
STATES = {
    "online": ("Answers", "good"),
    "offline": ("Does not answer", "bad"),
    "unknown": ("Not asked", ""),
}
OUTCOMES = {
    "answered": "Answers",
    "unresolved": "Name does not resolve",
    "refused": "Refused",
    "no_answer": "No answer",
    "unreachable": "Not reachable",
    "closed": "Closed without an answer",
    "not_sip": "Not SIP",
    "tls_name": "Certificate of another name",
    "tls_untrusted": "Certificate not trusted",
    "tls_failed": "No TLS",
}


def _read(data: Form) -> tuple[TrunkInput | None, dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {
        name: data.get(name, "").replace("\x00", "").strip() for name in (*TEXTS, *LISTS)
    }
    values["codecs"] = tuple(codec for codec in CODECS if f"codec.{codec}" in data)
    values["register_at_host"] = "register_at_host" in data
    given = {name: value for name, value in values.items() if value != ""}
    given |= {name: lines_of(values[name]) for name in LISTS}
    given |= {name: data[name] for name in PASSWORDS if data.get(name)}
    try:
        return TrunkInput.model_validate(given), values, {}
    except ValidationError as error:
        return None, values, sentences(error)


def _values(trunk: ShownTrunk) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: "" if (value := getattr(trunk, name)) is None else str(value) for name in TEXTS
    }
    values |= {name: "\n".join(getattr(trunk, name)) for name in LISTS}
    return values | {"codecs": tuple(trunk.codecs), "register_at_host": trunk.register_at_host}


@get("/trunks", right=Right.TRUNKS_READ)
async def list_trunks(
    request: AnyRequest, page: Page, work: Work, wiring: Wiring, actor: Actor
) -> Response[str]:
    cursor = request.query_params.get("cursor") or None
    async with work.tenant() as uow:
        found = await lines.list_trunks(uow, actor, cursor=cursor)
    states = await states_of_trunks(wiring.settings.gateway)
    return page.render(
        "trunks/list.html",
        trunks=found.items,
        first="/trunks" if cursor else "",
        next=f"/trunks?cursor={found.next_cursor}" if found.next_cursor else "",
        states=states or {},
        gateway_away=states is None,
        state_words=STATES,
    )


@get("/trunks/new", right=Right.TRUNKS_WRITE)
async def new(page: Page) -> Response[str]:
    return _form(page, None, EMPTY, {})


def _form(
    page: Page,
    trunk: ShownTrunk | None,
    values: dict[str, Any],
    errors: dict[str, str],
    *,
    tested: TrunkTestResult | None = None,
    test_error: str = "",
) -> Response[str]:
    return page.render(
        "trunks/edit.html",
        status_code=422 if errors else 200,
        trunk=trunk,
        revision=revision_of(trunk) if trunk else "",
        values=values,
        errors=errors,
        codecs=CODECS,
        testable=trunk is not None and has_far_side(trunk),
        tested=tested,
        test_error=test_error,
        outcome_words=OUTCOMES,
    )


@post("/trunks", right=Right.TRUNKS_WRITE)
async def create(
    page: Page, work: Work, wiring: Wiring, actor: Actor, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                trunk = await lines.create_trunk(uow, actor, wiring.keys, wanted)
        except Conflict as error:
            errors = {"name": str(error)}
        else:
            return page.redirect(
                "/trunks", notice=f"{trunk.name} is there; the gateway takes it up within seconds."
            )
    return _form(page, None, values, errors)


@get("/trunks/{trunk_id:uuid}", right=Right.TRUNKS_READ)
async def edit(page: Page, work: Work, actor: Actor, trunk_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        trunk = await lines.get_trunk(uow, actor, trunk_id)
    return _form(page, trunk, _values(trunk), {})


@post("/trunks/{trunk_id:uuid}", right=Right.TRUNKS_WRITE)
async def change(
    page: Page, work: Work, wiring: Wiring, actor: Actor, trunk_id: UUID, data: Form
) -> Response[str] | Redirect:
    wanted, values, errors = _read(data)
    if wanted is not None:
        try:
            async with work.tenant() as uow:
                trunk = await lines.change_trunk(
                    uow, actor, wiring.keys, trunk_id, wanted, revision=data.get("revision") or None
                )
        except Conflict as error:
            errors = {WHOLE if error.code == CHANGED else "name": str(error)}
        else:
            return page.redirect(
                "/trunks", notice=f"{trunk.name} is saved; the gateway takes it up within seconds."
            )
    async with work.tenant() as uow:
        stored = await lines.get_trunk(uow, actor, trunk_id)
    return _form(page, stored, values, errors)


@post("/trunks/{trunk_id:uuid}/test", right=Right.TRUNKS_WRITE)
async def test(page: Page, work: Work, wiring: Wiring, actor: Actor, trunk_id: UUID) -> Response[str]:
    """Asks the far side once, with what is saved, and shows the answer below the form."""
    tested, wrong = None, ""
    try:
        async with work.tenant() as uow:
            await begin_trunk_test(uow, actor, trunk_id)
        tested = await probe_trunk(wiring.settings, trunk_id)
    except (Conflict, InvalidInput, AtCapacity, Unavailable) as error:
        wrong = str(error)
    async with work.tenant() as uow:
        trunk = await lines.get_trunk(uow, actor, trunk_id)
    return _form(page, trunk, _values(trunk), {}, tested=tested, test_error=wrong)


@post("/trunks/{trunk_id:uuid}/delete", right=Right.TRUNKS_WRITE)
async def remove(page: Page, work: Work, actor: Actor, trunk_id: UUID) -> Redirect:
    try:
        async with work.tenant() as uow:
            await lines.delete_trunk(uow, actor, trunk_id)
    except Conflict as error:
        return page.redirect(f"/trunks/{trunk_id}", notice=str(error), bad=True)
    return page.redirect("/trunks", notice="The trunk is deleted.")


ROUTES = [list_trunks, new, create, edit, change, test, remove]
