"""A route says who may use it, or the console does not start; cookies and paths that cannot be made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, get

from appliance.access.domain import RIGHTS_OF_ROLE, Right, Role, rights_of
from appliance.access.sessions import read_organizations
from console.web.cookies import Cookies
from console.web.guard import require_stated_rights
from console.web.page import own_path


@get("/stated", right=Right.CALLS_READ, sync_to_thread=False)
def stated() -> None: ...


@get("/open", public=True, sync_to_thread=False)
def open_to_all() -> None: ...


@get("/forgotten", sync_to_thread=False)
def forgotten() -> None: ...


@get("/both", right=Right.CALLS_READ, public=True, sync_to_thread=False)
def both() -> None: ...


@get("/words", right="calls:read", sync_to_thread=False)
def words() -> None: ...


def test_a_route_without_a_right_is_named() -> None:
    good = Litestar([stated, open_to_all], openapi_config=None)
    assert require_stated_rights(good) == []
    bad = Litestar([stated, forgotten, both], openapi_config=None)
    assert require_stated_rights(bad) == ["GET /forgotten", "GET /both"]


def test_a_word_that_looks_like_a_right_is_none() -> None:
    assert require_stated_rights(Litestar([words], openapi_config=None)) == ["GET /words"]


def test_the_operator_of_the_box_hears_no_calls_and_an_administrator_does_not_run_the_box() -> None:
    assert rights_of([Role.OPERATOR]) == {Right.BOX_READ, Right.BOX_WRITE}
    assert not RIGHTS_OF_ROLE[Role.ADMIN] & {Right.BOX_READ, Right.BOX_WRITE}
    assert Right.RECORDINGS_PLAY not in RIGHTS_OF_ROLE[Role.AUDITOR]
    assert Right.AUDIT_READ not in RIGHTS_OF_ROLE[Role.LISTENER]


@given(st.text(max_size=60))
def test_a_target_is_a_path_of_ours_or_the_start(target: str) -> None:
    path = own_path(target)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert "\n" not in path
    assert "\r" not in path


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil", "https://evil", "\t//evil", "/a\r\nb", "", None]
)
def test_targets_elsewhere(target: str | None) -> None:
    assert own_path(target) == "/"
    assert own_path("/calls?from=today") == "/calls?from=today"


def test_a_sealed_cookie_opens_for_its_kind_and_time_alone() -> None:
    cookies = Cookies("k" * 40, secure=True)
    value = cookies.sealed("sign-in", {"state": "s"}, seconds=60).value
    assert cookies.open("sign-in", value) == {"state": "s"}
    assert cookies.open("notice", value) is None
    assert Cookies("other", secure=True).open("sign-in", value) is None
    assert value is not None
    assert cookies.open("sign-in", value[:-2]) is None
    assert cookies.open("sign-in", cookies.sealed("sign-in", {}, seconds=-1).value) is None
    assert cookies.name("session").startswith("__Host-")


def test_a_form_token_is_of_one_session() -> None:
    cookies = Cookies("k" * 40, secure=False)
    token = cookies.form_token("one")
    assert cookies.is_form_token("one", token)
    assert not cookies.is_form_token("two", token)
    assert not cookies.is_form_token("one", "ü")


@pytest.mark.parametrize(
    "claim", [None, "x", [], {"x": ["admin"]}, {"0197a000-0000-7000-8000-000000000001": "admin"}, {"1": None}]
)
def test_a_strange_claim_gives_no_right(claim: object) -> None:
    assert read_organizations(claim) == {}


def test_the_operator_is_not_made_by_the_claim_of_organizations() -> None:
    claim = {"0197a000-0000-7000-8000-000000000001": ["operator", "listener", "king"]}
    assert list(read_organizations(claim).values()) == [frozenset({Role.LISTENER})]
