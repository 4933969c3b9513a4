"""An error that the API tells is the same error at the client."""

from __future__ import annotations

import json

import pytest

from appliance.calls.domain import AdmissionRefused
from appliance.clients.problem_documents import error_of_problem
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import (
    AtCapacity,
    Conflict,
    IntegrityError,
    InvalidInput,
    NotAllowed,
    NotFound,
    TrunklineError,
    Unavailable,
)
from runtime.tool_api.problems import of_error


def through_the_wire(error: TrunklineError) -> TrunklineError:
    answer = of_error(error)
    return error_of_problem(answer.status_code, json.loads(bytes(answer.body)))


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("The name is missing.", field="name"),
        NotFound("The call does not exist."),
        NotAllowed("The token does not hold.", code="token_expired"),
        NotAllowed("Another call's.", code="other_call"),
        Conflict("The call is over.", code="call_ended"),
        Unavailable("The database does not answer."),
        AtCapacity("Everybody is busy.", retry_after_seconds=7),
        IntegrityError("The key does not fit."),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.code}",
)
def test_errors_survive_the_wire(error: TrunklineError) -> None:
    received = through_the_wire(error)
    assert type(received) is type(error)
    assert (received.message, received.code) == (str(error), error.code)
    assert received.retryable == error.retryable


@pytest.mark.parametrize(
    ("sip_status", "http_status"), [(404, 404), (403, 403), (486, 409), (302, 409), (503, 503)]
)
def test_refusals_survive_the_wire(sip_status: int, http_status: int) -> None:
    error = AdmissionRefused("No.", sip_status=sip_status, retry_after_seconds=3, contact="sip:a@b", code="x")
    assert of_error(error).status_code == http_status
    received = through_the_wire(error)
    assert isinstance(received, AdmissionRefused)
    assert (received.sip_status, received.retry_after_seconds, received.contact) == (sip_status, 3, "sip:a@b")


def test_the_field_is_named() -> None:
    received = through_the_wire(InvalidInput("Wrong.", field="to"))
    assert isinstance(received, InvalidInput)
    assert received.field == "to"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAllowed),
        (404, NotFound),
        (413, InvalidInput),
        (429, AtCapacity),
        (500, Unavailable),
        (502, Unavailable),
    ],
)
def test_what_is_no_problem_document_follows_its_status(status: int, kind: type[TrunklineError]) -> None:
    assert type(error_of_problem(status, {})) is kind


async def test_without_a_token_nothing_is_sent() -> None:
    async with ToolApiClient("http://127.0.0.1:9", timeout_seconds=1) as client:
        with pytest.raises(NotAllowed):
            await client.gateway()


async def test_an_api_that_is_away_is_unavailable() -> None:
    async with ToolApiClient("http://127.0.0.1:9", service_token="t", timeout_seconds=0.5) as client:
        with pytest.raises(Unavailable):
            await client.gateway()
        assert not await client.ready()
