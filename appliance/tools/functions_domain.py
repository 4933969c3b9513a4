"""Functions as people and programs set them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from appliance.agents.domain import TOOL_ACTIONS
from appliance.wire import JsonObject

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
FunctionAuth = Literal["none", "bearer", "basic", "header"]
_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "authorization", "content-type", "upgrade"}
)
MAX_SCHEMA_CHARACTERS = 20_000


def _name(value: str) -> str:
    if value in TOOL_ACTIONS:
        raise ValueError("is the name of a tool of the box")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, content in value.items():
        if not _HEADER_NAME.match(name) or name.lower() in _OURS:
            raise ValueError(f"the header {name[:50]} cannot be set")
        if len(content) > 2000 or not all(" " <= sign <= "~" for sign in content):
            raise ValueError(f"the value of the header {name[:50]} must be plain text")
    return value


def _schema(value: dict[str, Any]) -> dict[str, Any]:
    if len(str(value)) > MAX_SCHEMA_CHARACTERS:
        raise ValueError("the schema is too long")
    if "$ref" in str(value):
        raise ValueError("references are not followed: write the schema out")
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError as error:
        raise ValueError(f"not a JSON schema: {str(error.message)[:200]}") from error
    if value.get("type") != "object":
        raise ValueError('the schema must be of an object ("type": "object")')
    return value


class FunctionInput(BaseModel):
    """A secret that is left out stays as it is; with `auth` none it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,47}$"), AfterValidator(_name)] = Field(
        examples=["look_up_customer"]
    )
    description: Annotated[
        str,
        StringConstraints(min_length=1, max_length=1000),
        AfterValidator(lambda text: text.replace("\x00", "")),
    ]
    """What the language model is told of it: when to use it, and what it gives."""
    method: Method = "POST"
    url: Annotated[str, StringConstraints(min_length=8, max_length=2000)] = Field(
        examples=["https://crm.example.com/customers"]
    )
    headers: Annotated[dict[str, str], Field(max_length=20), AfterValidator(_headers)] = Field(
        default_factory=dict[str, str]
    )
    auth: FunctionAuth = "none"
    auth_name: Annotated[str, StringConstraints(max_length=200, pattern=r"^[\x21-\x7e]*$")] | None = None
    secret: SecretStr | None = None
    parameters: Annotated[JsonObject, AfterValidator(_schema)] = Field(
        default_factory=lambda: {"type": "object", "properties": {}},
        examples=[{"type": "object", "properties": {"phone": {"type": "string"}}, "required": ["phone"]}],
    )
    timeout_seconds: float = Field(default=3, gt=0, le=4, allow_inf_nan=False)
    """A caller waits for it."""
    enabled: bool = True

    @model_validator(mode="after")
    def _auth_fits(self) -> Self:
        if self.auth in {"basic", "header"} and not self.auth_name:
            raise ValueError("basic needs a user name and header the name of the header (auth_name)")
        if self.auth == "basic" and ":" in (self.auth_name or ""):
            raise ValueError("a user name has no colon")
        if self.auth == "header" and not _HEADER_NAME.match(self.auth_name or ""):
            raise ValueError("auth_name is not the name of a header")
        if self.auth == "header" and (self.auth_name or "").lower() in _OURS - {"authorization"}:
            raise ValueError("this header cannot be set")
        if self.secret is not None:
            plain = self.secret.get_secret_value()
            if not 1 <= len(plain) <= 2000 or not all(" " <= sign <= "~" for sign in plain):
                raise ValueError("the secret must be plain text of 1 to 2000 characters")
        return self


class ShownFunction(BaseModel):
    """The secret is never shown, only whether there is one."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    description: str
    method: Method
    url: str
    headers: dict[str, str]
    auth: FunctionAuth
    auth_name: str | None
    has_secret: bool
    parameters: dict[str, Any]
    timeout_seconds: float
    enabled: bool
    created_at: datetime


class Tried(BaseModel):
    """What came back when a function was tried."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    status: int | None
    duration_ms: int | None
    result: Any
    error: str | None
