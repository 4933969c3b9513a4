"""The client of the tool API (Contract 1): one method for each endpoint.

A client carries a service token, a call token or both; endpoints of a call use the call token where there is
one. Requests that may be repeated without harm are repeated while the API is away; the others only when they
have reached nobody.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from appliance.calls.domain import (
    Admission,
    AdmissionRequest,
    BrowserCallRequest,
    CallContext,
    Ended,
    Finish,
    OutboundRequest,
    Progress,
    RecordingGrant,
    RecordingRequest,
    RecordingSealed,
    Redispatch,
    ToolAnswer,
    ToolRequest,
    Turn,
)
from appliance.clients.problem_documents import error_of_problem
from appliance.errors import NotAllowed, Unavailable
from appliance.settings import ToolApiSettings
from appliance.telephony.domain import GatewayConfiguration
from appliance.widgets.domain import WebCallRequest

_Model = TypeVar("_Model", bound=BaseModel)
_ATTEMPT_SECONDS = 3.0
_CONNECT_SECONDS = 2.0
_ADMISSION_SECONDS = 8.0
"""Longer than the API's own limit of a request: who gives up first must be the side that can give the place
back, and a caller hears ringing meanwhile."""


class _NotSent(Unavailable):
    """No connection: the request has reached nobody, so that any request may be repeated."""


class ToolApiClient:
    """Close it, or use it as a context. `timeout_seconds` bounds a request together with its repetitions.

    Raises the errors of `appliance.errors`; Unavailable when the API is away or late, AdmissionRefused with
    its SIP meaning.
    """

    def __init__(
        self,
        url: str,
        *,
        service_token: str | None = None,
        call_token: str | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._service_token = service_token
        self._call_token = call_token
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(timeout_seconds, connect=1.0),
            # Given up sooner than by the server, which could close one just when it is used again.
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=10.0),
            trust_env=False,
            # Reading the system's certificates blocks the loop, and plain HTTP on loopback needs none.
            verify=url.startswith("https://"),
        )

    @classmethod
    def for_service(cls, settings: ToolApiSettings, *, timeout_seconds: float = 5.0) -> Self:
        """The client of the bridge and the jobs worker."""
        return cls(
            settings.url, service_token=settings.service_token.reveal(), timeout_seconds=timeout_seconds
        )

    @classmethod
    def for_call(cls, settings: ToolApiSettings, call_token: str, *, timeout_seconds: float = 5.0) -> Self:
        """The client of a worker, good for one call. The service token is not read."""
        return cls(settings.url, call_token=call_token, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # The bridge's

    async def admit(self, request: AdmissionRequest, *, timeout_seconds: float | None = None) -> Admission:
        """Asks for a place. AdmissionRefused, or Unavailable; not repeated once sent: each place counts."""
        return await self._admit("/internal/calls/admit", request, timeout_seconds)

    async def outbound(self, request: OutboundRequest, *, timeout_seconds: float | None = None) -> Admission:
        """Asks for a place of a call that the box places; never repeated."""
        return await self._admit("/internal/calls/outbound", request, timeout_seconds)

    async def redispatch(self, call_id: UUID) -> Redispatch:
        """The ticket of the next agent after one was lost. Counts an attempt, so it is not repeated."""
        answer = await self._send(
            "POST",
            f"/internal/calls/{call_id}/redispatch",
            None,
            token="service",  # noqa: S106
            repeat=False,
        )
        return _read(Redispatch, answer)

    async def progress(self, call_id: UUID, progress: Progress) -> None:
        await self._send("POST", f"/internal/calls/{call_id}/progress", progress, token="service")  # noqa: S106

    async def ended(self, call_id: UUID, ended: Ended, *, timeout_seconds: float | None = None) -> None:
        await self._send(
            "POST",
            f"/internal/calls/{call_id}/ended",
            ended,
            token="service",  # noqa: S106
            timeout_seconds=timeout_seconds,
        )

    async def gateway(self) -> GatewayConfiguration:
        answer = await self._send("GET", "/internal/gateway", None, token="service")  # noqa: S106
        return _read(GatewayConfiguration, answer)

    # The console's

    async def admit_test(self, request: BrowserCallRequest) -> Admission:
        """Asks for a place of a test call from the browser; never repeated."""
        return await self._admit("/internal/calls/test", request)

    async def admit_web(self, request: WebCallRequest) -> Admission:
        """Asks for a place of a visitor of a web site; never repeated."""
        return await self._admit("/internal/calls/web", request)

    async def _admit(self, path: str, request: BaseModel, timeout_seconds: float | None = None) -> Admission:
        answer = await self._send(
            "POST",
            path,
            request,
            token="service",  # noqa: S106 - which token, not the token
            repeat=False,
            timeout_seconds=timeout_seconds or max(self._timeout_seconds, _ADMISSION_SECONDS),
        )
        return _read(Admission, answer)

    # The worker's

    async def context(self, call_id: UUID) -> CallContext:
        return _read(CallContext, await self._send("GET", f"/internal/calls/{call_id}/context", None))

    async def turn(self, call_id: UUID, turn: Turn) -> None:
        await self._send("POST", f"/internal/calls/{call_id}/turns", turn)

    async def finish(self, call_id: UUID, finish: Finish, *, timeout_seconds: float | None = None) -> None:
        """Reports the worker's end of the call; the jobs worker sends it late with the service token."""
        await self._send("POST", f"/internal/calls/{call_id}/finish", finish, timeout_seconds=timeout_seconds)

    async def recording(self, call_id: UUID, *, attempt: int = 1) -> RecordingGrant:
        """A recording of this attempt; the same one when asked again."""
        body = RecordingRequest(attempt=attempt)
        return _read(RecordingGrant, await self._send("POST", f"/internal/calls/{call_id}/recording", body))

    async def voice_tool(
        self,
        action: str,
        tool_call_id: str,
        arguments: dict[str, Any],
        *,
        timeout_seconds: float | None = None,
    ) -> ToolAnswer:
        """Runs a tool; repeating it with the same id answers what the first run did."""
        body = ToolRequest(tool_call_id=tool_call_id, arguments=arguments)
        answer = await self._send(
            "POST", f"/internal/voice-tools/{action}", body, timeout_seconds=timeout_seconds
        )
        return _read(ToolAnswer, answer)

    # The jobs worker's

    async def sealed(self, recording_id: UUID, sealed: RecordingSealed) -> None:
        await self._send(
            "POST",
            f"/internal/recordings/{recording_id}/sealed",
            sealed,
            token="service",  # noqa: S106
        )

    async def ready(self) -> bool:
        """Whether the API and what it stands on answer, within 2 s."""
        try:
            answer = await self._http.get("/health/ready", timeout=2.0)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def _send(
        self,
        method: str,
        path: str,
        body: BaseModel | None,
        *,
        token: Literal["call", "service"] = "call",  # noqa: S107
        repeat: bool = True,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token(token)}"}
        content = None
        if body is not None:
            content = body.model_dump_json(by_alias=True)
            headers["Content-Type"] = "application/json"
        limit_seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempt_seconds = _ATTEMPT_SECONDS if repeat else limit_seconds
        last: Unavailable | None = None
        try:
            async with asyncio.timeout(limit_seconds):
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(Unavailable if repeat else _NotSent),
                    wait=wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.1),
                    reraise=True,
                ):
                    with attempt:
                        try:
                            return await self._once(method, path, headers, content, attempt_seconds)
                        except Unavailable as error:
                            last = error
                            raise
        except TimeoutError:
            raise last or Unavailable("The tool API did not answer in time.") from None
        raise AssertionError("the repetition ends by an answer or an error")

    async def _once(
        self, method: str, path: str, headers: dict[str, str], content: str | None, seconds: float
    ) -> httpx.Response:
        limits = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        try:
            answer = await self._http.request(method, path, headers=headers, content=content, timeout=limits)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotSent("The tool API cannot be reached.", remedy="See `appliance status`.") from error
        except httpx.TimeoutException as error:
            raise Unavailable("The tool API did not answer in time.") from error
        except httpx.HTTPError as error:
            raise Unavailable("The tool API went away.", remedy="See `appliance status`.") from error
        if answer.status_code < 400:
            return answer
        try:
            problem: Any = answer.json()
        except ValueError:
            problem = {}
        raise error_of_problem(answer.status_code, problem if isinstance(problem, dict) else {})

    def _token(self, wanted: Literal["call", "service"]) -> str:
        found = (self._call_token or self._service_token) if wanted == "call" else self._service_token
        if found is None:
            raise NotAllowed(f"This client has no {wanted} token.")
        return found


def _read(model: type[_Model], answer: httpx.Response) -> _Model:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise Unavailable(
            "The tool API answered something else than agreed.",
            remedy="Check that all parts are of the same release.",
        ) from error
