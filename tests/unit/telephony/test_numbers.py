"""Dialled strings, as trunks and PBXs deliver them."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telephony.numbers import bare, candidates, dialable, normalised, region_of

NUMBER = "+4930555010"


@pytest.mark.parametrize(
    "dialled",
    [
        "+4930555010",
        "4930555010",
        "004930555010",
        "030555010",
        "030 555-010",
        "+49 (30) 555.010",
        "sip:+4930555010@pbx.example;user=phone",
        "tel:+4930555010",
        "SIP:4930555010@10.0.0.1",
    ],
)
def test_every_way_to_dial_a_number_finds_it(dialled: str) -> None:
    assert NUMBER in candidates(dialled, "DE")


def test_an_extension_stays_one() -> None:
    assert candidates("200", "DE")[0] == "200"
    assert normalised("200", "DE") == "200"
    assert candidates("reception", "DE") == ("reception",)


def test_a_national_number_needs_a_country() -> None:
    assert NUMBER not in candidates("030555010", None)
    assert NUMBER in candidates("4930555010", None)


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("015112345678", "DE", "+4915112345678"),
        ("4915112345678", "DE", "+4915112345678"),
        ("0049 151 12345678", "DE", "+4915112345678"),
        ("2125550123", "US", "+12125550123"),
        ("anonymous", "DE", "anonymous"),
        ("", "DE", ""),
        ("110", "DE", "110"),
    ],
)
def test_callers_are_stored_in_e164_where_they_can_be(raw: str, region: str, expected: str) -> None:
    assert normalised(raw, region) == expected


def test_the_region_follows_the_time_zone() -> None:
    assert region_of("Europe/Berlin") == "DE"
    assert region_of("America/New_York") == "US"
    assert region_of("UTC") is None


@pytest.mark.parametrize("raw", ["+49301", "200", "*43#"])
def test_digits_may_be_dialled(raw: str) -> None:
    assert dialable(raw)


@pytest.mark.parametrize("raw", ["", "sip:a@b", "1;2", "1&2", "a", "1\n2", "1" * 40, "PJSIP/1"])
def test_nothing_else_may_be_dialled(raw: str) -> None:
    assert not dialable(raw)


@given(raw=st.text(max_size=80), region=st.sampled_from([None, "DE", "US", "XX"]))
def test_anything_has_a_reading(raw: str, region: str | None) -> None:
    assert bare(raw) in candidates(raw, region)
    assert isinstance(normalised(raw, region), str)


@given(region=st.sampled_from(["DE", "US", "GB", "FR", "IT", "ES"]), seed=st.integers(10**7, 10**10))
def test_e164_finds_itself_again_however_it_is_written(region: str, seed: int) -> None:
    parsed = phonenumbers.parse(str(seed), region)
    if not phonenumbers.is_valid_number(parsed):
        return
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    for written in (e164, e164[1:], "00" + e164[1:]):
        assert e164 in candidates(written, region)
        assert normalised(e164, region) == e164
