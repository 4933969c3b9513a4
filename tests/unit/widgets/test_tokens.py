"""The visitor's and the session's token: each for its own use, and no longer than it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from appliance.database.identifiers import uuid7
from appliance.errors import NotAllowed
from appliance.widgets.tokens import VISITOR_LIFETIME, VisitorTokens

NOW = datetime.now(UTC)
TOKENS = VisitorTokens("a secret of the console")


def test_a_browser_is_known_again_by_its_token_and_tells_nothing_else() -> None:
    first, token = TOKENS.visitor("wg_1", None, NOW)
    again, renewed = TOKENS.visitor("wg_1", token, NOW)
    assert again == first
    assert TOKENS.visitor("wg_1", renewed, NOW)[0] == first
    assert TOKENS.visitor("wg_1", None, NOW)[0] != first
    assert TOKENS.visitor("wg_2", token, NOW)[0] != first, "another widget's visitor"
    assert first not in token


@pytest.mark.parametrize("shown", ["", "x", "a.b.c"])
def test_rubbish_makes_a_new_visitor(shown: str) -> None:
    assert len(TOKENS.visitor("wg_1", shown, NOW)[0]) == 32


def test_a_visitors_token_ends_and_cannot_be_forged() -> None:
    first, old = TOKENS.visitor("wg_1", None, NOW - VISITOR_LIFETIME - timedelta(minutes=1))
    assert TOKENS.visitor("wg_1", old, NOW)[0] != first
    known, token = TOKENS.visitor("wg_1", None, NOW)
    claims = jwt.decode(token, options={"verify_signature": False})
    for forged in (
        VisitorTokens("another").visitor("wg_1", None, NOW)[1],
        jwt.encode(claims, None, algorithm="none"),
    ):
        assert TOKENS.visitor("wg_1", forged, NOW)[0] != known


def test_a_sessions_token_is_for_its_session() -> None:
    call_id = uuid7()
    found = TOKENS.read_session(TOKENS.session(call_id, "wg_1", 60, NOW))
    assert (found.call_id, found.public_id) == (call_id, "wg_1")
    for wrong in (
        TOKENS.session(call_id, "wg_1", 60, NOW - timedelta(hours=1)),
        TOKENS.visitor("wg_1", None, NOW)[1],
        VisitorTokens("another").session(call_id, "wg_1", 60, NOW),
    ):
        with pytest.raises(NotAllowed):
            TOKENS.read_session(wrong)


def test_a_household_is_one_address() -> None:
    assert TOKENS.address("2001:db8:1:2::5") == TOKENS.address("2001:db8:1:2:9::1")
    assert TOKENS.address("2001:db8:1:2::5") != TOKENS.address("2001:db8:1:3::5")
    assert TOKENS.address("192.0.2.1") != TOKENS.address("192.0.2.2")
    assert "192.0.2.1" not in TOKENS.address("192.0.2.1")
    assert TOKENS.address(None) == TOKENS.address("")
