"""Call tokens."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest

from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.tokens import AUDIENCE, CallTokens
from appliance.errors import InvalidInput, NotAllowed

KEY = "k" * 48
CALL, ORGANIZATION = uuid4(), uuid4()


def claims(**changed: object) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "sub": str(CALL),
        "org": str(ORGANIZATION),
        "attempt": 1,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + timedelta(hours=1),
        "jti": "1",
    } | changed


def test_a_token_names_its_call() -> None:
    tokens = CallTokens(KEY)
    identity = tokens.verify(tokens.mint(CALL, ORGANIZATION, 3, datetime.now(UTC)))
    assert (identity.call_id, identity.organization_id, identity.attempt) == (CALL, ORGANIZATION, 3)


def test_two_tokens_of_a_call_differ() -> None:
    tokens, now = CallTokens(KEY), datetime.now(UTC)
    assert tokens.mint(CALL, ORGANIZATION, 1, now) != tokens.mint(CALL, ORGANIZATION, 1, now)


def test_a_token_lasts_four_hours() -> None:
    tokens, now = CallTokens(KEY), datetime.now(UTC)
    assert tokens.verify(tokens.mint(CALL, ORGANIZATION, 1, now - timedelta(hours=3, minutes=59)))
    with pytest.raises(NotAllowed) as refusal:
        tokens.verify(tokens.mint(CALL, ORGANIZATION, 1, now - timedelta(hours=4, minutes=1)))
    assert refusal.value.code == "token_expired"


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "something-else"},
        {"aud": None},
        {"sub": "not-a-uuid"},
        {"org": None},
        {"exp": None},
        {"jti": None},
        {"iat": None},
        {"attempt": 0},
        {"attempt": "many"},
        {"sub": 7},
    ],
)
def test_wrong_claims_are_refused(changed: dict[str, object]) -> None:
    made = {name: value for name, value in claims(**changed).items() if value is not None}
    with pytest.raises(NotAllowed):
        CallTokens(KEY).verify(jwt.encode(made, KEY, algorithm="HS256"))


def test_other_keys_and_algorithms_are_refused() -> None:
    tokens = CallTokens(KEY)
    plain = dict(claims().items()) | {"exp": 4_000_000_000, "iat": 1}
    forged = [
        jwt.encode(claims(), "x" * 48, algorithm="HS256"),
        jwt.encode(claims(), KEY * 2, algorithm="HS512"),
        _unsigned(plain),
        _unsigned(plain, algorithm="NONE"),
    ]
    for token in forged:
        with pytest.raises(NotAllowed):
            tokens.verify(token)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "\x00", "é.é.é", "x" * 4000])
def test_rubbish_is_refused(token: str) -> None:
    with pytest.raises(NotAllowed):
        CallTokens(KEY).verify(token)


def _unsigned(content: dict[str, object], algorithm: str = "none") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(content)}."


def test_dispatch_metadata_comes_back() -> None:
    metadata = DispatchMetadata(call_id=CALL, organization_id=ORGANIZATION, call_token="t", attempt=2)
    assert DispatchMetadata.decode(metadata.encode()) == metadata
    assert "call_token" not in repr(metadata)


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", '{"call_id": 1}', "secret-token-text"])
def test_other_metadata_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        DispatchMetadata.decode(text)
    assert "secret" not in str(refusal.value)


def test_unknown_fields_of_a_newer_release_are_ignored() -> None:
    text = f'{{"call_id": "{UUID(int=1)}", "organization_id": "{UUID(int=2)}", "call_token": "t", "new": 1}}'
    assert DispatchMetadata.decode(text).attempt == 1
