"""What leaves the box in a support bundle holds no secret and nobody's number."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.box.redaction import MAIL, NUMBER, SECRET, Redactor, secret_values

PASSWORD = 'Zo"fe & Sohn/ä9+x'
KEY = base64.b64encode(bytes(range(3, 35))).decode()


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        quote(PASSWORD, safe=""),
        json.dumps(PASSWORD),
        json.dumps(PASSWORD)[1:-1],
        base64.b64encode(PASSWORD.encode()).decode(),
        PASSWORD.encode().hex(),
        KEY,
        base64.b64decode(KEY).hex(),
        base64.urlsafe_b64encode(base64.b64decode(KEY)).decode(),
    ],
)
def test_a_known_secret_goes_however_it_is_written(written: str) -> None:
    text = Redactor([PASSWORD, f"{KEY}\nanother-key-below-it\n"]).without_secrets(f"before {written} after")
    assert written not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4), st.text(max_size=40))
def test_any_known_secret_goes(secret: str, around: str) -> None:
    value = secret.strip().splitlines()[0].strip() if secret.strip().splitlines() else ""
    cleaned = Redactor([secret]).without_secrets(f"{around}\n{secret}\n{around}")
    if len(value) >= 4 and value not in SECRET:
        assert value not in cleaned.replace(SECRET, "")


@pytest.mark.parametrize(
    ("text", "gone", "stays"),
    [
        ("postgresql://trunkline:hunter2@db:5432/x", "hunter2", "@db:5432/x"),
        ("redis://:p@ss:w0rd@cache/0", "w0rd", "@cache/0"),
        ('{"password": "two words", "event": "x"}', "two words", '"event": "x"'),
        ('"nested {\\"token\\": \\"abc.def\\", \\"n\\": 1}"', "abc.def", '\\"n\\": 1'),
        ("host=db password=hunter2 user=x", "hunter2", "user=x"),
        ("password='two words' user=x", "two words", "user=x"),
        ("GET /x?access_token=abcdef HTTP/1.1", "abcdef", "HTTP/1.1"),
        ("Authorization: Digest username=x, response=123abc", "123abc", "Authorization"),
        ("got Bearer abcdefgh.ijk now", "abcdefgh", "now"),
        ("a eyJhbGciOi.eyJzdWIiOiIx.c2ln b", "eyJzdWIiOiIx", " b"),
        (f"key tl_abcdefghijkl_{'x' * 40} was used", "x" * 40, "was used"),
        ("signed by whsec_abcdefghijklmnop now", "abcdefghijklmnop", "now"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\nnext", "MIIEvQ", "next"),
        (f"first\n{'Q' * 64}\nlast", "Q" * 64, "last"),
    ],
)
def test_an_unknown_secret_goes_by_its_name_or_its_shape(text: str, gone: str, stays: str) -> None:
    cleaned = Redactor([]).without_secrets(text)
    assert gone not in cleaned
    assert SECRET in cleaned
    assert stays in cleaned


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 1234567",
        "4930555010",
        "030/555-010-22",
        "(030) 55501022",
        "+49301",
        "+1.415.555.0100",
        "0049301234567",
    ],
)
def test_a_telephone_number_goes(number: str) -> None:
    for text in (f"call from {number} came", f"sip:{number}@pbx", f'"to":"{number}"', f"PJSIP/{number}-0001"):
        cleaned = Redactor([]).of_log(text)
        assert NUMBER in cleaned or MAIL in cleaned
        assert number not in cleaned


def test_a_mail_address_goes() -> None:
    assert Redactor([]).of_log("for ada.b+x@mail.example.org.") == f"for {MAIL}."


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22 00:26:28.905 UTC [23439] LOG:  checkpoint complete: wrote 1362 buffers (16.6%)",
        '{"call_id": "01a200a3-6455-7da6-a05b-0ab8312c5e5b", "timestamp": "2026-11-22T00:25:42.262991Z"}',
        '{"level":"info","ts":1795307187.5053885,"caller":"service/agentservice.go:338"}',
        "23328:M 22 Nov 2026 00:26:28.892 # Redis is now ready to exit, bye bye...",
        "listening on 127.0.0.1:17006, network 192.168.100.0/24",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        '{"llm_first_token": 612.25, "tokens": 17, "first_token_ms": 350}',
    ],
)
def test_what_helps_stays(line: str) -> None:
    assert Redactor(["a-known-secret"]).of_log(line) == line


def test_long_lines_do_not_take_long() -> None:
    """Nothing here may grow with the square of a line: one that did would take hours for these."""
    redactor = Redactor(["a-known-secret"])
    for piece in ("a", "1", "-", "a@", "passwd", "://x", '"token":', "1 2", "secret=\\"):
        redactor.of_log(piece * (400_000 // len(piece)))


def test_settings_keep_their_shape(tmp_path: Path) -> None:
    kept = tmp_path / "secrets" / "one"
    kept.parent.mkdir()
    kept.write_text("file-secret\n")
    (kept.parent / "two").write_text("unnamed-secret\n")
    tree = {
        "password": {"file": str(kept)},
        "absent": {"file": str(tmp_path / "absent")},
        "api_key": "abc",
        "tokens": ["one-token", 12345],
        "first_token_timeout_seconds": 2.5,
        "url": "https://me:url-secret@host.example/v1",
        "line": "+49 30 1234567",
        "secure": True,
        "note": "unnamed-secret and file-secret",
    }
    values, unread = secret_values(tree)
    assert unread == {}
    shown = Redactor(values).tree(tree)
    assert shown["password"]["file"] == str(kept)
    assert shown["password"]["state"].startswith("there, mode ")
    assert "cannot be read" in shown["absent"]["state"]
    assert shown["api_key"] == SECRET
    assert shown["tokens"] == [SECRET, SECRET]
    assert shown["first_token_timeout_seconds"] == 2.5
    assert shown["url"] == f"https://{SECRET}@host.example/v1"
    assert shown["line"] == NUMBER
    assert shown["secure"] is True
    assert shown["note"] == f"{SECRET} and {SECRET}"
