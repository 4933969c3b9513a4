"""The chain of the audit log: whole as written, and whatever is changed in it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.domain import GENESIS, ChainCheck, Entry, Head, entry_hash, without_secrets

CHAIN = UUID(int=7)
BEGAN = datetime(2026, 11, 21, tzinfo=UTC)

texts = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def _chain(contents: list[tuple[str, Any]]) -> list[Entry]:
    entries: list[Entry] = []
    last = GENESIS
    for index, (text, value) in enumerate(contents):
        entry = Entry(
            chain=CHAIN,
            sequence=index + 1,
            at=BEGAN + timedelta(seconds=index),
            actor_kind="member",
            actor_id=text,
            actor_name=text,
            address=None,
            action="test.write",
            subject=text,
            before=None,
            after=value,
            previous_hash=last,
            hash="",
        )
        last = entry_hash(last, entry.content)
        entries.append(replace(entry, hash=last))
    return entries


def _flaw(entries: list[Entry], head: Head) -> int | None:
    check = ChainCheck(CHAIN)
    check.feed(entries)
    flaw = check.flaw(head)
    return None if flaw is None else flaw.sequence


contents = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), values), max_size=8
)


def _safe(value: Any) -> Any:
    return without_secrets(value)


@given(contents)
def test_what_was_written_is_whole(written: list[tuple[str, Any]]) -> None:
    entries = _chain([(text, _safe(value)) for text, value in written])
    head = Head(len(entries), entries[-1].hash if entries else GENESIS)
    assert _flaw(entries, head) is None


@given(contents.filter(lambda items: len(items) >= 2), st.data())
def test_any_touch_shows_at_its_place(written: list[tuple[str, Any]], data: st.DataObject) -> None:
    entries = _chain([(text, _safe(value)) for text, value in written])
    head = Head(len(entries), entries[-1].hash)
    at = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[at]
    touched = data.draw(
        st.sampled_from(
            [
                replace(entry, subject=entry.subject + "x"),
                replace(entry, actor_name=entry.actor_name + "x"),
                replace(entry, at=entry.at + timedelta(microseconds=1)),
                replace(entry, after={"other": 1, "than": "before"}),
                replace(entry, address="10.0.0.1"),
                replace(entry, chain=UUID(int=8)),
            ]
        )
    )
    assert _flaw([*entries[:at], touched, *entries[at + 1 :]], head) == at + 1
    assert _flaw([*entries[:at], *entries[at + 1 :]], head) == at + 1, "a gap"
    assert _flaw(entries[:at], head) == at + 1, "a cut tail"
    rehashed = replace(touched, hash=entry_hash(touched.previous_hash, touched.content))
    expected = at + 1 if touched.chain != CHAIN else min(at + 2, len(entries) + 1)
    assert _flaw([*entries[:at], rehashed, *entries[at + 1 :]], head) in {at + 1, expected}


@given(st.dictionaries(st.sampled_from(["password", "client_secret", "apiToken", "name"]), st.text()))
def test_no_secret_stays(content: dict[str, str]) -> None:
    kept = without_secrets({"deep": [content]})["deep"][0]
    assert all(value == "[removed]" for name, value in kept.items() if name != "name")
