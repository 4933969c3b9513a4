"""Incoming webhooks: a path of the organization, who may send to it, and what becomes of a request."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from appliance.telephony.numbers import bare
from appliance.webhooks.selection import NotSelectable, compiled, is_true, plain_text, selected
from appliance.wire import storable_json

HookAuth = Literal["signature", "bearer", "basic"]
RuleAction = Literal["call", "file"]
RequestState = Literal["waiting", "calling", "called", "filed", "unmatched", "failed", "refused"]
MAX_BODY_BYTES = 256 * 1024
MAX_RULES = 20
DELIVERY_ID = 'headers."webhook-id" || headers."idempotency-key"'
CALL_AGAIN_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 120, 300))
"""The waits while there is no free line; then a call is given up."""
_DIALLED = re.compile(r"^\+?[0-9*#]{2,20}$")
_SECRET_HEADER = re.compile(
    r"auth|cookie|secret|token|signature|password|credential|^(?!idempotency-key$).*key$", re.IGNORECASE
)
_MAX_HEADERS, _MAX_HEADER = 50, 500


def _expression(value: str) -> str:
    value = value.replace("\x00", "").strip()
    if value:
        compiled(value)
    return value


Expression = Annotated[str, StringConstraints(max_length=500), AfterValidator(_expression)]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=80, strip_whitespace=True),
    AfterValidator(lambda text: text.replace("\x00", "")),
]


class Rule(BaseModel):
    """The first rule that fits decides. Expressions are JMESPath over `{"headers": {...}, "body": ...}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(examples=["Missed appointment"])
    when: Expression = Field(default="", examples=["body.event == 'appointment.missed'"])
    """Empty: every request fits."""
    action: RuleAction = Field(default="file", examples=["file"])
    agent_id: UUID | None = None
    """Who calls."""
    to: Expression = Field(default="", examples=["body.customer.phone"])
    """Gives the number that is called."""
    number_id: UUID | None = None
    """The organization's number that the called one sees; none: the first that fits."""
    title: Expression = Field(default="", examples=["body.subject"])
    """Gives the title under which a request is filed."""

    @model_validator(mode="after")
    def _call_is_whole(self) -> Self:
        if self.action == "call" and (self.agent_id is None or not self.to):
            raise ValueError(
                "a rule that calls needs an agent (agent_id) and an expression for the number (to)"
            )
        return self


class HookInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(examples=["Customer system"])
    enabled: bool = True
    requests_per_minute: Annotated[int, Field(ge=1, le=6000)] = 120
    delivery_id: Expression = Field(default=DELIVERY_ID, examples=[DELIVERY_ID])
    """Gives what a sender repeats when it sends the same again; nothing: every request is a new one."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES)] = Field(
        default=(), examples=[[{"name": "All", "action": "file", "title": "body.subject"}]]
    )


class NewHookInput(HookInput):
    auth: HookAuth = "signature"
    """`signature`: Standard Webhooks; else `Authorization` with Bearer or Basic."""
    user: Annotated[str, StringConstraints(max_length=100, pattern=r"^[\x21-\x39\x3b-\x7e]*$")] = ""
    """The user name of `basic`."""

    @model_validator(mode="after")
    def _user_fits(self) -> Self:
        if (self.auth == "basic") != bool(self.user):
            raise ValueError("basic needs a user name (user), the others have none")
        return self


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownHook(Shown):
    """`path` is what senders post to, below the console's address."""

    id: UUID
    path: str = Field(examples=["/hooks/kJ2m0qUa3f6WxTg1Zr9b4Q"])
    name: str
    enabled: bool
    auth: HookAuth
    user: str
    requests_per_minute: int
    delivery_id: str
    rules: tuple[Rule, ...]
    created_at: datetime


class NewHook(Shown):
    """`secret` is shown this once: the key of the signature, the token or the password."""

    hook: ShownHook
    secret: str


class ShownRequest(Shown):
    """`state`: `waiting` and `calling` become `called` or `failed`; `unmatched`: no rule fitted; `refused`:
    it did not show who sent it, or could not be read."""

    id: UUID
    hook_id: UUID
    at: datetime
    state: RequestState
    delivery_id: str | None
    rule: str | None
    title: str | None
    to: str | None
    detail: str | None
    call_id: UUID | None
    address: str | None
    size_bytes: int
    replay_of: UUID | None


class RequestDetail(ShownRequest):
    headers: dict[str, str]
    """Without those that may be secrets."""
    body: Any


class TryInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    headers: Annotated[dict[str, str], Field(max_length=_MAX_HEADERS)] = Field(default_factory=dict[str, str])
    body: Any = Field(default=None, examples=[{"event": "appointment.missed"}])


class TriedRule(Shown):
    name: str
    fits: bool
    problem: str | None


class TriedHook(Shown):
    """What would become of such a request: `called`, `filed`, `unmatched` or `failed`."""

    state: RequestState
    rule: str | None
    title: str | None
    to: str | None
    detail: str | None
    delivery_id: str | None
    rules: list[TriedRule]


@dataclass(frozen=True)
class Routed:
    """Where the rules lead."""

    state: RequestState
    rule: Rule | None = None
    to: str | None = None
    title: str | None = None
    detail: str | None = None


def document_of(headers: Mapping[str, str], body: Any) -> dict[str, Any]:
    """What expressions see and what is kept: names in small letters, nothing that may be a secret."""
    kept = {
        name.lower()[:100]: value[:_MAX_HEADER].replace("\x00", "")
        for name, value in headers.items()
        if not _SECRET_HEADER.search(name)
    }
    first = dict(list(kept.items())[:_MAX_HEADERS])
    return {"headers": storable_json(first), "body": body}


def route(rules: Sequence[Rule], document: dict[str, Any]) -> Routed:
    """What the first rule that fits asks for. What cannot be done is `failed` with its reason."""
    rule = next((each for each in rules if fits(each, document)[0]), None)
    if rule is None:
        return Routed("unmatched", detail="No rule fits." if rules else "There are no rules.")
    if rule.action == "file":
        return Routed("filed", rule, title=_text(rule.title, document))
    raw = _text(rule.to, document)
    if raw is None:
        return Routed("failed", rule, detail=f"The request has no number at {rule.to}.")
    number = bare(raw)
    if not _DIALLED.match(number):
        return Routed("failed", rule, detail="What stands there is no telephone number.")
    return Routed("waiting", rule, to=number)


def fits(rule: Rule, document: dict[str, Any]) -> tuple[bool, str | None]:
    """Whether a rule fits, and what kept its expression from being applied."""
    if not rule.when:
        return True, None
    try:
        return is_true(selected(rule.when, document)), None
    except NotSelectable as problem:
        return False, str(problem)


def delivery_id_of(expression: str, document: dict[str, Any]) -> str | None:
    """A long one is kept as its digest."""
    found = _text(expression, document, limit=None)
    if found is None or len(found) <= 200:
        return found
    return hashlib.sha256(found.encode()).hexdigest()


def secret_fits(secret: str, kept_hash: bytes) -> bool:
    """Compared in a time that tells nothing."""
    return hmac.compare_digest(hash_of(secret), kept_hash)


def hash_of(secret: str) -> bytes:
    """The secrets are random and long: one round of a plain digest is enough."""
    return hashlib.sha256(secret.encode()).digest()


def _text(expression: str, document: dict[str, Any], limit: int | None = 300) -> str | None:
    if not expression:
        return None
    try:
        found = plain_text(selected(expression, document))
    except NotSelectable:
        return None
    return found[:limit] if found else None
