"""What members write to select from a request, what becomes of it, and that it never grows."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.webhooks.inbound_domain import (
    DELIVERY_ID,
    HookInput,
    NewHookInput,
    Rule,
    delivery_id_of,
    document_of,
    fits,
    route,
)
from appliance.webhooks.selection import NotSelectable, compiled, is_true, selected

DOCUMENT = {
    "headers": {"x-event": "lead", "webhook-id": "7"},
    "body": {
        "event": "missed",
        "phone": "+49 30 555010",
        "none": None,
        "zero": 0,
        "items": [{"kind": "a", "v": 1}, {"kind": "b", "v": 2}],
    },
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("body.event == 'missed'", True),
        ('headers."x-event"', "lead"),
        (DELIVERY_ID, "7"),
        ("body.items[?kind == 'b'].v | [0]", 2),
        ("body.items[0].v", 1),
        ("length(body.items) > `1`", True),
        ("starts_with(body.phone, '+49')", True),
        ("body.event == 'missed' && !(body.none)", True),
        ("not_null(body.none, body.event)", "missed"),
        ("body.nothing.at.all", None),
    ],
)
def test_what_is_selected(expression: str, found: Any) -> None:
    assert selected(expression, DOCUMENT) == found


@pytest.mark.parametrize(
    "expression",
    [
        *("body.", "body ==", "(", "'", "[?", "body..event", "!" * 400, "(" * 400, "a" * 501),
        *(
            "[@,@][]",
            "{a: @}",
            "join(',', body)",
            "map(&@, body)",
            "body.*",
            "sort_by(body, &a)",
            "nope(body)",
        ),
        *("[@][] | [@,@]", "to_array(body)", "merge(body, body)", "keys(body)"),
    ],
)
def test_what_is_no_expression_of_this_house(expression: str) -> None:
    with pytest.raises(NotSelectable):
        compiled(expression)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(expression=st.text(alphabet="body.ev[]?()|&!='`@0 ,*:{}<>\"\\", max_size=40), body=JSON)
def test_no_text_and_no_body_break_it(expression: str, body: Any) -> None:
    with suppress(NotSelectable):
        selected(expression, {"headers": {}, "body": body})


@settings(deadline=None, derandomize=True, max_examples=100)
@given(body=JSON)
def test_whatever_comes_is_routed_somewhere(body: Any) -> None:
    rules = [
        Rule(name="contains", when="contains(body.tags, 'x')"),
        Rule(name="call", when="body.phone", action="call", to="body.phone", agent_id=uuid4()),
        Rule(name="rest", title="body.title"),
    ]
    found = route(rules, document_of({}, body))
    assert found.state in {"filed", "waiting", "failed"}
    assert (found.state == "waiting") == (found.to is not None)


@pytest.mark.parametrize(
    ("value", "true"), [(0, True), ("", False), ([], False), (None, False), (False, False)]
)
def test_what_counts_as_true(value: Any, true: bool) -> None:
    assert is_true(value) is true


@pytest.mark.parametrize(
    ("phone", "state", "to"),
    [
        ("+49 30 555010", "waiting", "+4930555010"),
        ("tel:+49-30-555010", "waiting", "+4930555010"),
        (201, "waiting", "201"),
        ("call me", "failed", None),
        ("+49" + "1" * 40, "failed", None),
        ("", "failed", None),
        (None, "failed", None),
        (True, "failed", None),
        (["+49"], "failed", None),
        ("+4930555010\r\nX: y", "failed", None),
        ("sip:evil@example.com", "failed", None),
    ],
)
def test_only_what_can_be_dialled_is_called(phone: Any, state: str, to: str | None) -> None:
    rule = Rule(name="x", action="call", to="body.phone", agent_id=uuid4())
    found = route([rule], document_of({}, {"phone": phone}))
    assert (found.state, found.to) == (state, to)


def test_the_first_that_fits_decides_and_one_that_cannot_be_applied_does_not_fit() -> None:
    rules = [
        Rule(name="broken", when="contains(body.none, 'x')"),
        Rule(name="second", when="body.event"),
        Rule(name="third"),
    ]
    assert fits(rules[0], DOCUMENT)[0] is False
    assert "contains" in (fits(rules[0], DOCUMENT)[1] or "")
    assert route(rules, DOCUMENT).rule == rules[1]
    assert route(rules[:1], DOCUMENT).state == route([], DOCUMENT).state == "unmatched"


def test_headers_that_may_be_secrets_are_neither_kept_nor_seen() -> None:
    headers = {
        "Authorization": "Bearer s",
        "Cookie": "s",
        "X-Api-Key": "s",
        "X-Hub-Signature-256": "s",
        "Webhook-Signature": "s",
        "X-Gitlab-Token": "s",
        "Proxy-Authorization": "s",
        "X-Shared-Secret": "s",
        "X-Webhook-Key": "s",
        "Idempotency-Key": "k",
        "X-Event": "e" * 1000,
    }
    document = document_of(headers, None)
    assert set(document["headers"]) == {"idempotency-key", "x-event"}
    assert len(document["headers"]["x-event"]) == 500
    many = document_of({f"x-{place}": "v" for place in range(500)}, None)
    assert len(json.dumps(many)) < 10_000


def test_a_delivery_is_named_by_the_sender() -> None:
    assert delivery_id_of(DELIVERY_ID, DOCUMENT) == "7"
    assert delivery_id_of(DELIVERY_ID, {"headers": {"idempotency-key": "k"}, "body": None}) == "k"
    assert delivery_id_of(DELIVERY_ID, {"headers": {}, "body": None}) is None
    assert delivery_id_of("", DOCUMENT) is None
    first, second = (delivery_id_of("body", {"headers": {}, "body": "x" * 1000 + end}) for end in ("a", "b"))
    assert first is not None
    assert first != second
    assert len(first) == 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x", "requests_per_minute": 0},
        {"name": "x", "rules": [{"name": "r"}] * 21},
        {"name": "x", "delivery_id": "body."},
        {"name": "x", "rules": [{"name": "r", "action": "call", "to": "body.phone"}]},
        {"name": "x", "rules": [{"name": "r", "action": "call", "agent_id": str(uuid4())}]},
        {"name": "x", "secret": "mine"},
    ],
)
def test_a_path_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HookInput.model_validate(wrong)


def test_user_and_password_need_a_user_and_the_others_none() -> None:
    assert NewHookInput.model_validate({"name": "x", "auth": "basic", "user": "crm"}).user == "crm"
    for wrong in ({"auth": "basic"}, {"auth": "bearer", "user": "crm"}, {"auth": "basic", "user": "a:b"}):
        with pytest.raises(ValidationError):
            NewHookInput.model_validate({"name": "x", **wrong})
