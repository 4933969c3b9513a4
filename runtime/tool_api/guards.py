"""Who asks: a part of the box with the service token, or the worker of one call with its call token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from appliance.calls.life import organization_of_call
from appliance.calls.tokens import CallIdentity
from appliance.errors import NotAllowed
from runtime.tool_api.wiring import Wired, Wiring

_MAX_TOKEN_CHARACTERS = 4096


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_CHARACTERS:
        raise NotAllowed("A token is needed.", code="token_missing")
    return token


def _is_service(wiring: Wiring, token: str) -> bool:
    expected = wiring.settings.tool_api.service_token.reveal()
    return hmac.compare_digest(token.encode(errors="replace"), expected.encode())


def _service(request: Request, wiring: Wired) -> None:
    token = _bearer(request)
    if _is_service(wiring, token):
        return
    wiring.tokens.verify(token)  # tells a token that is wrong from one that is good for something else
    raise NotAllowed("A call's token is not good for this.", code="service_only")


def _call_token(request: Request, wiring: Wired) -> CallIdentity:
    token = _bearer(request)
    if _is_service(wiring, token):
        raise NotAllowed("Only the call's own token is good for this.", code="call_only")
    return wiring.tokens.verify(token)


def _own_call(call_id: UUID, identity: Annotated[CallIdentity, Depends(_call_token)]) -> CallIdentity:
    if identity.call_id != call_id:
        raise NotAllowed("The token is good for another call.", code="other_call")
    return identity


@dataclass(frozen=True)
class Reporter:
    """Who may finish a call: its worker, or whoever delivers the worker's report late."""

    organization_id: UUID


async def _reporter(call_id: UUID, request: Request, wiring: Wired) -> Reporter:
    token = _bearer(request)
    if _is_service(wiring, token):
        return Reporter(await organization_of_call(wiring.router, call_id))
    return Reporter(_own_call(call_id, wiring.tokens.verify(token)).organization_id)


async def _organization_of_call(call_id: UUID, request: Request, wiring: Wired) -> UUID:
    _service(request, wiring)
    return await organization_of_call(wiring.router, call_id)


ServiceOnly = Depends(_service)
AnyCall = Annotated[CallIdentity, Depends(_call_token)]
OwnCall = Annotated[CallIdentity, Depends(_own_call)]
CallReporter = Annotated[Reporter, Depends(_reporter)]
OrganizationOfCall = Annotated[UUID, Depends(_organization_of_call)]
"""The organization of the call in the path; asks for the service token."""
