"""Which origins may carry a widget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.database.identifiers import uuid7
from appliance.widgets.domain import WidgetInput
from appliance.widgets.origins import checked_origin, is_allowed


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://www.example.com", "https://www.example.com"),
        ("  HTTPS://WWW.Example.com/ ", "https://www.example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:8080", "http://example.com:8080"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://praxis-zoë.example", "https://praxis-xn--zo-jja.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(typed: str, kept: str) -> None:
    if "zoë" in typed:
        kept = f"https://{'praxis-zoë.example'.encode('idna').decode()}"
    assert checked_origin(typed) == kept
    assert checked_origin(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", "example.com", "*", "https://*", "https://*.com", "https://*.1.2.3", "ftp://example.com"),
        *("https://example.com/path", "https://user@example.com", "https://example.com?x", "null"),
        *("https://a..b", "https://-a.example", "https://www.*.example.com", "https://example.com:0"),
        *("https://example.com:70000", "https://exa mple.com", "javascript://x", "https://" + "a" * 400),
    ],
)
def test_what_is_no_origin_is_told(typed: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        checked_origin(typed)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://www.example.com", True),
        ("https://www.example.com:8443", False),
        ("http://www.example.com", False),
        ("https://example.com", False),
        ("https://www.example.com.evil.example", False),
        ("https://a.wide.example", True),
        ("https://a.b.wide.example", True),
        ("https://wide.example", False),
        ("https://evilwide.example", False),
        ("https://a.wide.example:444", False),
        ("https://*.wide.example", False),
        ("null", False),
        ("", False),
        ("https://www.example.com/", False),
    ],
)
def test_exact_origins_and_names_below_a_declared_domain(origin: str, allowed: bool) -> None:
    declared = ["https://www.example.com", "https://*.wide.example"]
    assert is_allowed(declared, origin) is allowed


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_origin_or_told(text: str) -> None:
    try:
        kept = checked_origin(text)
    except ValueError:
        return
    assert checked_origin(kept) == kept
    assert ("*" in kept) is not is_allowed([kept], kept)


def test_a_widget_goes_at_least_one_way() -> None:
    with pytest.raises(ValidationError, match="voice, text or both"):
        WidgetInput(name="x", title="x", agent_id=uuid7(), voice=False, text=False)
