"""The search of calls as a form: what a person types, in the organization's time zone, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from appliance.calls.archive_domain import CallFilter
from appliance.calls.domain import Direction, Outcome

OUTCOMES: tuple[str, ...] = get_args(Outcome)
DIRECTIONS: tuple[str, ...] = get_args(Direction)
FIELDS = ("number", "text", "outcome", "agent", "direction", "since", "until", "latency", "live")
OUTCOME_WORDS = {
    "completed": "Completed",
    "booked": "Booked",
    "ordered": "Ordered",
    "transferred": "Transferred",
    "caller_hung_up": "Caller hung up",
    "no_speech": "No speech",
    "time_limit": "Time limit",
    "failed": "Failed",
}
OUTCOME_KINDS = {
    "completed": "good",
    "booked": "good",
    "ordered": "good",
    "transferred": "info",
    "no_speech": "warn",
    "time_limit": "warn",
    "failed": "bad",
}
DIRECTION_WORDS = {"inbound": "Inbound", "outbound": "Outbound", "test": "Test", "web": "Web site"}


@dataclass(frozen=True)
class SearchForm:
    """What was typed (`values`), what it means (`wanted`), and what cannot be meant (`errors` by field)."""

    values: dict[str, str]
    wanted: CallFilter
    errors: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def query(self) -> str:
        """The address's query of this search, without what is empty."""
        return urlencode({name: value for name, value in self.values.items() if value})

    def with_cursor(self, cursor: str) -> str:
        return urlencode({name: value for name, value in self.values.items() if value} | {"cursor": cursor})

    @property
    def is_empty(self) -> bool:
        return not any(self.values.values())


def read_search(given: Mapping[str, Any], zone: ZoneInfo) -> SearchForm:
    """Reads the query of the list. A field that cannot be meant is named, and the rest still counts."""
    values = {name: str(given.get(name, "")).strip()[:300] for name in FIELDS}
    errors: dict[str, str] = {}
    wanted: dict[str, Any] = {"number": values["number"], "text": values["text"]}
    if values["outcome"]:
        if values["outcome"] in OUTCOMES:
            wanted["outcome"] = (values["outcome"],)
        else:
            errors["outcome"] = "There is no such outcome."
    if values["direction"]:
        if values["direction"] in DIRECTIONS:
            wanted["direction"] = values["direction"]
        else:
            errors["direction"] = "There is no such direction."
    if values["agent"]:
        try:
            wanted["agent_id"] = UUID(values["agent"])
        except ValueError:
            errors["agent"] = "There is no such agent."
    if values["live"]:
        wanted["live"] = values["live"] == "1"
    for name, later in (("since", 0), ("until", 1)):
        if values[name]:
            try:
                day = date.fromisoformat(values[name]) + timedelta(days=later)
                wanted[name] = datetime.combine(day, time(0), zone)
            except (ValueError, OverflowError):
                errors[name] = "Give a day as year-month-day, such as 2026-11-21."
    if values["latency"]:
        try:
            wanted["min_latency_ms"] = float(values["latency"].replace(",", "."))
        except ValueError:
            errors["latency"] = "Give milliseconds, such as 1200."
    if "since" in wanted and "until" in wanted and wanted["since"] >= wanted["until"]:
        errors["until"] = "This day is before the first one."
        del wanted["until"]
    return SearchForm(values, _filter(wanted, errors), errors)


def _filter(wanted: dict[str, Any], errors: dict[str, str]) -> CallFilter:
    names = {"min_latency_ms": "latency", "agent_id": "agent"}
    try:
        return CallFilter.model_validate(wanted)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0])
            errors[names.get(name, name)] = "This is out of range."
            wanted.pop(name, None)
        return CallFilter.model_validate(wanted)


def values_of(wanted: CallFilter, zone: ZoneInfo) -> dict[str, str]:
    """The fields of the form that mean this filter: for a saved one."""
    values = {
        "number": wanted.number,
        "text": wanted.text,
        "outcome": wanted.outcome[0] if wanted.outcome else "",
        "agent": str(wanted.agent_id or ""),
        "direction": wanted.direction or "",
        "live": "" if wanted.live is None else str(int(wanted.live)),
        "latency": "" if wanted.min_latency_ms is None else f"{wanted.min_latency_ms:g}",
    }
    if wanted.since is not None:
        values["since"] = wanted.since.astimezone(zone).date().isoformat()
    if wanted.until is not None:
        values["until"] = (wanted.until.astimezone(zone).date() - timedelta(days=1)).isoformat()
    return {name: value for name, value in values.items() if value}


def quick_days(now: datetime, zone: ZoneInfo) -> list[tuple[str, str]]:
    """The spans that people ask for most, with the query of each."""
    today = now.astimezone(zone).date()
    yesterday = today - timedelta(days=1)
    spans = (
        ("Today", today, today),
        ("Yesterday", yesterday, yesterday),
        ("Last 7 days", today - timedelta(days=6), today),
    )
    return [
        (title, urlencode({"since": first.isoformat(), "until": last.isoformat()}))
        for title, first, last in spans
    ]
