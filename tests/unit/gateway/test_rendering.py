"""What each property of a trunk becomes in the gateway."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.telephony.domain import Credentials, GatewayConfiguration, Number, Trunk
from runtime.sip.gateway.names import endpoint_name
from runtime.sip.gateway.rendering import DIALPLAN_FILE, PJSIP_FILE, Rendered, render
from tests.unit.gateway.test_config_text import read_as_asterisk

ACCOUNT = Credentials(username="desk", password="secret")
PLAIN = Trunk(id=UUID(int=1), organization_id=UUID(int=9), name="lab", match=("127.0.0.1",))
NAME = endpoint_name(PLAIN.id)


def rendered(*trunks: Trunk, numbers: tuple[Number, ...] = ()) -> Rendered:
    configuration = GatewayConfiguration(revision="1", trunks=trunks, numbers=numbers, capacity=1)
    return render(configuration, ari_app="trunkline", rtp_timeout_seconds=30)


def objects(trunk: Trunk, kind: str) -> dict[str, list[tuple[str, str]]]:
    result = rendered(trunk)
    assert result.problems == ()
    sections = read_as_asterisk(result.files[PJSIP_FILE])
    return {name: values for name, values in sections if ("type", kind) in values}


def endpoint(trunk: Trunk) -> dict[str, str]:
    return dict(objects(trunk, "endpoint")[NAME])


@pytest.mark.parametrize(
    ("srtp", "encryption", "optimistic"),
    [("off", "no", None), ("optional", "sdes", "yes"), ("required", "sdes", "no")],
)
def test_srtp(srtp: str, encryption: str, optimistic: str | None) -> None:
    found = endpoint(PLAIN.model_copy(update={"srtp": srtp}))
    assert found["media_encryption"] == encryption
    assert found.get("media_encryption_optimistic") == optimistic


def test_media_stays_in_the_gateway_with_timers_digits_and_codecs_as_agreed() -> None:
    found = endpoint(PLAIN.model_copy(update={"codecs": ("g722", "alaw")}))
    assert (found["disallow"], found["allow"]) == ("all", "g722,alaw")
    assert (found["direct_media"], found["rtp_symmetric"], found["timers"]) == ("no", "yes", "yes")
    assert (found["dtmf_mode"], found["rtp_timeout"]) == ("auto_info", "30")


def test_an_account_is_asked_for_its_password_and_may_be_bound_to_networks() -> None:
    trunk = PLAIN.model_copy(update={"inbound_auth": ACCOUNT, "match": ("192.0.2.0/24",)})
    found = objects(trunk, "endpoint")["desk"]
    assert ("auth", f"{NAME}-in") in found
    assert [value for key, value in found if key in {"deny", "permit"}] == [
        "0.0.0.0/0",
        "::/0",
        "192.0.2.0/24",
    ]
    assert endpoint(trunk)["auth"] == f"{NAME}-in"
    assert list(objects(trunk, "aor")) == ["desk"]


def test_a_registration_for_each_proxy_and_calls_by_them_in_order() -> None:
    trunk = PLAIN.model_copy(
        update={
            "host": "pbx.example",
            "transport": "tls",
            "auth": Credentials(username="me@home", password="x"),
            "register_at_host": True,
            "outbound_proxies": ("sip:one.example:5071;lr", "two.example"),
            "match": (),
        }
    )
    registrations = [dict(found) for found in objects(trunk, "registration").values()]
    assert [found["outbound_proxy"] for found in registrations] == [
        "sip:one.example:5071;lr;transport=tls",
        "sip:two.example;lr;transport=tls",
    ]
    assert {found["client_uri"] for found in registrations} == {"sip:me%40home@pbx.example;transport=tls"}
    assert "line" not in registrations[0]
    contacts = [value for key, value in objects(trunk, "aor")[NAME] if key == "contact"]
    assert contacts == ["sip:one.example:5071;transport=tls", "sip:two.example;transport=tls"]
    sources = [value for key, value in objects(trunk, "identify")[f"{NAME}-identify"] if key == "match"]
    assert sources == ["one.example", "two.example"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"match": ()}, "host"),
        ({"match": ("pbx.example",)}, "match"),
        ({"host": "two words"}, "host"),
        ({"register_at_host": True, "host": "pbx.example"}, "auth"),
        ({"outbound_proxies": ("sip:x;evil=1",)}, "outbound_proxies"),
        ({"outbound_proxies": ("sip:x:99999",)}, "outbound_proxies"),
        ({"inbound_auth": Credentials(username="trunk-1", password="x")}, "inbound_auth.username"),
        ({"inbound_auth": Credentials(username="a]b", password="x")}, "inbound_auth.username"),
        ({"auth": Credentials(username="a", password="x\ny"), "host": "p"}, "password"),
    ],
)
def test_a_wrong_trunk_is_left_out_and_named(change: dict[str, object], field: str) -> None:
    other = PLAIN.model_copy(update={"id": UUID(int=2)})
    result = rendered(PLAIN.model_copy(update=change), other)
    assert [(problem.trunk_id, problem.field) for problem in result.problems] == [(str(PLAIN.id), field)]
    assert NAME not in result.files[PJSIP_FILE] + result.files[DIALPLAN_FILE]
    assert endpoint_name(other.id) in result.files[PJSIP_FILE]


def test_two_trunks_cannot_have_one_account() -> None:
    first = PLAIN.model_copy(update={"inbound_auth": ACCOUNT, "match": ()})
    second = first.model_copy(update={"id": UUID(int=2)})
    result = rendered(first, second)
    assert [problem.trunk_id for problem in result.problems] == [str(second.id)]


def test_the_overflow_of_a_number_is_redirected_to_and_a_wrong_one_is_left_out() -> None:
    trunk = PLAIN.model_copy(update={"host": "pbx.example"})
    result = rendered(
        trunk,
        numbers=(
            Number(number="+4930555010", overflow="900"),
            Number(number="+4930555011", overflow="sip:q@pbx.example:5070"),
            Number(number="+4930555012", overflow="900,1)${SHELL(id)}"),
            Number(number="+4930555013", overflow="900", trunk_id=UUID(int=77)),
        ),
    )
    text = result.files[DIALPLAN_FILE]
    assert "Set(TRUNKLINE_OVERFLOW=sip:900@pbx.example)" in text
    assert "Set(TRUNKLINE_OVERFLOW=sip:q@pbx.example:5070)" in text
    assert "SHELL" not in text
    assert "4930555013" not in text
    assert [problem.field for problem in result.problems] == ["overflow"]


def test_passwords_are_in_no_report() -> None:
    trunk = PLAIN.model_copy(update={"auth": Credentials(username="a", password=" hidden"), "host": "p"})
    assert "hidden" not in repr(rendered(trunk).problems)
