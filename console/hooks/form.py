"""The form of an incoming webhook, and what is wrong with it, beside each field."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from appliance.webhooks.inbound_domain import DELIVERY_ID, MAX_RULES, HookInput, NewHookInput, ShownHook
from console.web.form_errors import WHOLE, sentences

PLAIN = ("name", "requests_per_minute", "delivery_id")
OF_RULE = ("name", "when", "action", "agent_id", "to", "number_id", "title", "position")
EMPTY_RULE: dict[str, str] = dict.fromkeys(OF_RULE, "") | {"action": "file"}
SPARE_RULES = 1
EMPTY: dict[str, Any] = {
    "name": "",
    "requests_per_minute": "120",
    "delivery_id": DELIVERY_ID,
    "enabled": True,
    "auth": "signature",
    "user": "",
    "rules": [EMPTY_RULE],
}


def values_of(hook: ShownHook) -> dict[str, Any]:
    """What the form shows of a stored one, with place for a further rule."""
    rules = [
        {name: str(value if value is not None else "") for name, value in rule.model_dump().items()}
        | {"position": str(place)}
        for place, rule in enumerate(hook.rules, 1)
    ]
    spare = [EMPTY_RULE] * min(SPARE_RULES, MAX_RULES - len(rules))
    return {name: str(getattr(hook, name)) for name in PLAIN} | {
        "enabled": hook.enabled,
        "rules": rules + spare,
    }


def read_new(data: dict[str, str]) -> tuple[NewHookInput | None, dict[str, Any], dict[str, str]]:
    """The input, what the form shows again, and a sentence for each field that is wrong."""
    values, given, slots = _read(data)
    values |= {"auth": data.get("auth", "signature"), "user": data.get("user", "").strip()}
    given |= {"auth": values["auth"], "user": values["user"] if values["auth"] == "basic" else ""}
    if values["auth"] == "basic" and not values["user"]:
        return None, values, {"user": "This is needed for user and password."}
    try:
        return NewHookInput.model_validate(given), values, {}
    except ValidationError as error:
        return None, values, _errors(error, slots)


def read_change(data: dict[str, str]) -> tuple[HookInput | None, dict[str, Any], dict[str, str]]:
    """As `read_new`, without what is chosen once."""
    values, given, slots = _read(data)
    try:
        return HookInput.model_validate(given), values, {}
    except ValidationError as error:
        return None, values, _errors(error, slots)


def _read(data: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any], list[int]]:
    """What was typed, what it means, and from which place of the form each rule comes."""
    values: dict[str, Any] = {name: data.get(name, "").replace("\x00", "").strip() for name in PLAIN}
    values["enabled"] = "enabled" in data
    typed: list[dict[str, str]] = []
    for place in range(MAX_RULES + SPARE_RULES):
        if f"rule-{place}-action" not in data:
            break
        typed.append({name: data.get(f"rule-{place}-{name}", "").strip() for name in OF_RULE})
    values["rules"] = typed or [EMPTY_RULE]
    used = [place for place, rule in enumerate(typed) if rule["name"] or rule["when"] or rule["to"]]
    slots = sorted(used, key=lambda place: (_position(typed[place]["position"], place), place))
    given = {name: values[name] for name in PLAIN} | {"enabled": values["enabled"]}
    given["rules"] = [_rule(typed[place]) for place in slots]
    return values, given, slots


def _position(text: str, place: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else place + 1000


def _rule(typed: dict[str, str]) -> dict[str, Any]:
    calls = typed["action"] == "call"
    return {
        "name": typed["name"],
        "when": typed["when"],
        "action": typed["action"],
        "agent_id": (typed["agent_id"] or None) if calls else None,
        "number_id": (typed["number_id"] or None) if calls else None,
        "to": typed["to"] if calls else "",
        "title": "" if calls else typed["title"],
    }


def _errors(error: ValidationError, slots: list[int]) -> dict[str, str]:
    found = {name: words for name, words in sentences(error).items() if name != "rules"}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        match each["loc"]:
            case ("rules", int(index), str(name)):
                words = "Give the rule a name." if name == "name" else each["msg"]
                found.setdefault(f"rule-{slots[index]}-{name}", _sentence(words))
            case ("rules", int(index)):
                words = "Choose who calls, and say where the number stands."
                found.setdefault(f"rule-{slots[index]}-to", words)
            case ("rules",):
                found.setdefault(WHOLE, f"There can be {MAX_RULES} rules.")
            case _:
                continue
    return found


def _sentence(words: str) -> str:
    text = words.removeprefix("Value error, ").rstrip(".") + "."
    return text[0].upper() + text[1:]
