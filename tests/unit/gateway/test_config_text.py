"""Nothing that a trunk says can become syntax of a configuration file."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from appliance.telephony.domain import Credentials, GatewayConfiguration, Number, Trunk
from runtime.sip.gateway.config_text import ConfigText, config_value, dialplan_word, section_name
from runtime.sip.gateway.names import context_name, endpoint_name
from runtime.sip.gateway.rendering import DIALPLAN_FILE, PJSIP_FILE, render

Sections = list[tuple[str, list[tuple[str, str]]]]


def read_as_asterisk(text: str) -> Sections:
    """What Asterisk makes of a file: a reading of `config_text_file_load` in main/config.c, with its comments
    (`;`, `\\;`, `;--`), its section heads and its `key = value`."""
    sections: Sections = []
    depth = 0
    for raw in text.split("\n"):
        line, position = "", 0
        while position < len(raw):
            if (
                raw.startswith(";--", position)
                and not raw.startswith(";---", position)
                and not line.endswith("\\")
            ):
                depth, position = depth + 1, position + 3
            elif depth and raw.startswith("--;", position):
                depth, position = depth - 1, position + 3
            elif depth:
                position += 1
            elif raw[position] == ";":
                if not line.endswith("\\"):
                    break
                line, position = line[:-1] + ";", position + 1
            else:
                line, position = line + raw[position], position + 1
        line = line.strip()
        if not line or depth:
            continue
        if line.startswith("["):
            head, _, rest = line[1:].partition("]")
            assert rest == "", "a section may not inherit"
            sections.append((head, []))
        else:
            assert not line.startswith("#"), "nothing may be included"
            key, separator, value = line.partition("=")
            assert separator, line
            sections[-1][1].append((key.strip(), value.removeprefix(">").strip()))
    return sections


anything = st.text(max_size=40) | st.text(alphabet=';\\[]\n\r#=>-,${}()"\x00 abc', max_size=40)


@given(value=anything)
def test_a_value_is_read_back_as_it_was_or_refused(value: str) -> None:
    text = ConfigText("a value")
    text.section("first")
    try:
        text.put("password", value)
    except InvalidInput:
        assert not value or value != value.strip() or not value.isprintable()
        return
    text.section("second")
    text.put("type", "auth")
    expected = [("first", [("password", value)]), ("second", [("type", "auth")])]
    assert read_as_asterisk(str(text)) == expected


@given(name=anything)
def test_the_name_of_a_section_is_a_word(name: str) -> None:
    try:
        section_name(name, field="name")
    except InvalidInput:
        return
    assert all(character.isascii() and (character.isalnum() or character in "_.+-") for character in name)


@given(word=anything)
def test_a_word_of_the_dialplan_has_no_meaning_there(word: str) -> None:
    try:
        dialplan_word(word, field="word")
    except InvalidInput:
        return
    assert not set(word) & set(" ,()[]{}$\"'\\\n\r|&!<>?")


def credentials() -> st.SearchStrategy[Credentials]:
    return st.builds(Credentials, username=anything, password=anything)


def trunks() -> st.SearchStrategy[Trunk]:
    hosts = st.sampled_from(["pbx.example", "192.0.2.1", "2001:db8::1"])
    return st.builds(
        Trunk,
        id=st.sampled_from([UUID(int=7), UUID(int=8)]),
        organization_id=st.just(UUID(int=1)),
        name=anything,
        transport=st.sampled_from(["udp", "tcp", "tls"]),
        host=st.none() | hosts | anything,
        port=st.none() | st.integers(1, 65535),
        match=st.lists(st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]) | anything, max_size=2).map(tuple),
        auth=st.none() | credentials(),
        inbound_auth=st.none() | credentials(),
        register_at_host=st.booleans(),
        outbound_proxies=st.lists(st.just("sip:proxy.example:5070;lr") | anything, max_size=2).map(tuple),
        srtp=st.sampled_from(["off", "optional", "required"]),
        qualify_seconds=st.integers(0, 100),
    )


def numbers() -> st.SearchStrategy[Number]:
    return st.builds(
        Number,
        number=st.sampled_from(["+4930555010", "200"]) | anything,
        trunk_id=st.sampled_from([None, UUID(int=7)]),
        overflow=st.none() | st.sampled_from(["sip:900@pbx.example", "900"]) | anything,
    )


@given(trunk=trunks(), number=numbers())
def test_a_trunk_writes_its_own_sections_and_no_others(trunk: Trunk, number: Number) -> None:
    configuration = GatewayConfiguration(revision="1", trunks=(trunk,), numbers=(number,), capacity=1)
    rendered = render(configuration, ari_app="trunkline", rtp_timeout_seconds=30)
    assert rendered == render(configuration, ari_app="trunkline", rtp_timeout_seconds=30)
    objects = read_as_asterisk(rendered.files[PJSIP_FILE])
    account = trunk.inbound_auth.username if trunk.inbound_auth else None
    for name, values in objects:
        assert name.startswith(endpoint_name(trunk.id)) or name == account
        types = [value for key, value in values if key == "type"]
        assert len(types) == 1
        kind = types[0]
        assert kind in {"endpoint", "aor", "auth", "identify", "registration"}
        found = dict(values)
        if kind == "endpoint":
            assert found["context"] == context_name(trunk.id)
            assert found["direct_media"] == "no"
            if name == account:
                assert found["identify_by"] == "auth_username,username"
                assert found["auth"] == f"{endpoint_name(trunk.id)}-in"
            else:
                assert found["identify_by"] == "ip"
        if kind == "auth":
            own = trunk.auth if name.endswith("-out") else trunk.inbound_auth
            assert own is not None
            assert (found["username"], found["password"]) == (own.username, own.password)
    contexts = read_as_asterisk(rendered.files[DIALPLAN_FILE])
    assert len(contexts) <= 1
    for name, values in contexts:
        assert name == context_name(trunk.id)
        for key, value in values:
            assert key in {"exten", "same", "include"}
            for application in ("SHELL", "System", "Exec"):
                assert application not in value


@pytest.mark.parametrize("value", ["", " a", "a ", "a\nb", "a\rb", "a\x00b", "a\x1bb", "\u2028", "x" * 1001])
def test_what_cannot_be_written_is_refused_with_the_name_of_its_field(value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        config_value(value, field="auth.password")
    assert refused.value.field == "auth.password"
