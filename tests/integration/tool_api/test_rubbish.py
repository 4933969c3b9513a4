"""Whatever is sent, the answer is an answer: never a 5xx, never an echo of the sender's words."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.agents.domain import TOOL_ACTIONS
from appliance.clients.tool_api import ToolApiClient
from runtime.tool_api.limits import MAX_BODY_BYTES
from tests.integration.tool_api.test_guards import ADMIT, FINISH, NOW, TURN
from tests.integration.tool_api.world import World

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["\x00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", NOW, "1" * 400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SEGMENT = {"speaker": "caller", "starts_ms": 1, "ends_ms": 0, "text": "words", "confidence": 1}
BODIES: dict[str, dict[str, Any]] = {
    "/internal/calls/admit": ADMIT,
    "/internal/calls/outbound": {
        "organization_id": "{organization_id}",
        "agent_id": "{agent_id}",
        "to": "+49301234567",
        "trunk_id": "{trunk_id}",
        "number_id": "{number_id}",
    },
    "/internal/calls/{call_id}/progress": {"status": "held", "at": NOW, "detail": {"leg": "caller"}},
    "/internal/calls/{call_id}/ended": {
        "at": NOW,
        "hangup_party": "caller",
        "q850_cause": 16,
        "sip_status": 200,
        "answered_at": NOW,
        "ladder": [
            {"at": NOW, "leg": "a", "direction": "in", "method_or_status": "BYE", "detail": {"cause": 16}}
        ],
        "quality": {"caller": {"rx_packets": 1, "rtt_ms": 1.5}},
    },
    "/internal/calls/{call_id}/turns": TURN
    | {"agent_text": "yes", "interrupted": False, "stamps": {"vad_end": 1}, "tool_calls": [{"name": "x"}]},
    "/internal/calls/{call_id}/finish": FINISH
    | {"segments": [SEGMENT], "turns": [TURN], "attempt": 1, "recording_id": None},
    "/internal/calls/{call_id}/recording": {"attempt": 1},
    "/internal/recordings/{call_id}/sealed": {
        "sha256": "0" * 64,
        "size_bytes": 1,
        "seconds": 1.5,
        "channels": 2,
        "sample_rate_hz": 16000,
        "state": "sealed",
    },
    **{
        f"/internal/voice-tools/{action}": {
            "tool_call_id": "1",
            "arguments": {
                "date": "tomorrow",
                "time": "3 pm",
                "name": "Ann",
                "phone": "1",
                "reason": "x",
                "text": "note",
                "items": [{"name": "floss", "quantity": 1}],
            },
        }
        for action in TOOL_ACTIONS
    },
}
OF_CALL = ("turns", "recording", "voice-tools")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every value in a body, itself among them."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


@pytest.mark.parametrize("path", list(BODIES))
async def test_a_body_with_anything_in_it_is_answered(
    service: ToolApiClient, http: httpx.AsyncClient, own: World, path: str
) -> None:
    admission = await service.admit(own.request())
    ids = {
        name: str(getattr(own, name)) for name in ("organization_id", "agent_id", "trunk_id", "number_id")
    } | {"call_id": str(admission.call_id)}
    body = {
        key: ids[value[1:-1]] if isinstance(value, str) and value[1:-1] in ids else value
        for key, value in BODIES[path].items()
    }
    if "trunk_id" in body:
        body["trunk_id"] = ids["trunk_id"]
    token = own.token(admission.call_id)
    if not any(part in path for part in OF_CALL):
        token = own.box.settings.tool_api.service_token.reveal()
    url = path.format(**ids)
    headers = {"Authorization": f"Bearer {token}"}
    generated: list[Any] = []

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(where=st.sampled_from(places(body)), value=JSON)
    def collect(where: tuple[Any, ...], value: Any) -> None:
        generated.append(with_value(body, where, value))

    collect()
    assert len(generated) >= 40
    for each in generated:
        answer = await http.post(url, json=each, headers=headers)
        assert answer.status_code < 500 or answer.json().get("sip_status") == 503, (each, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b'{"index": NaN, "started_at": "2026-11-21T12:00:00Z"}',
        b'{"index": 1e400, "started_at": "2026-11-21T12:00:00Z"}',
        b'{"index": ' + b"9" * 6000 + b"}",
        b'{"caller_text": "\\ud800", "index": 0, "started_at": "2026-11-21T12:00:00Z"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b'{"index": 0, "index": -1, "started_at": "x"}',
    ],
)
async def test_what_is_not_a_turn_is_refused(
    service: ToolApiClient, http: httpx.AsyncClient, own: World, content: bytes
) -> None:
    admission = await service.admit(own.request())
    answer = await http.post(
        f"/internal/calls/{admission.call_id}/turns",
        content=content,
        headers={
            "Authorization": f"Bearer {own.token(admission.call_id)}",
            "Content-Type": "application/json",
        },
    )
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_refusal_does_not_repeat_what_was_said(
    service: ToolApiClient, http: httpx.AsyncClient, own: World
) -> None:
    admission = await service.admit(own.request())
    secret = "my card is 4111 1111 1111 1111, valid thru June"
    answer = await http.post(
        f"/internal/calls/{admission.call_id}/turns",
        json={"index": secret, "started_at": secret, "caller_text": [secret]},
        headers={"Authorization": f"Bearer {own.token(admission.call_id)}"},
    )
    assert answer.status_code == 422
    # Whole groups and words: four digits alone may stand in any identifier of a long log.
    for part in ("4111 1111", "my card", "valid thru"):
        assert part not in answer.text
        assert part not in own.box.log_path("tool_api").read_text(encoding="utf-8")


async def test_too_large_a_body_is_refused_before_it_is_read(http: httpx.AsyncClient, own: World) -> None:
    port = own.box.settings.tool_api.port
    head = f"POST /internal/calls/{own.agent_id}/finish HTTP/1.1\r\nHost: x\r\n"
    declared = head + f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    status, body = await _raw(port, declared.encode())
    assert (status, json.loads(body)["code"]) == (413, "too_large")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    whole = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (MAX_BODY_BYTES // 0x10000 + 1)
    status, body = await _raw(port, whole)
    assert (status, json.loads(body)["code"]) == (413, "too_large")
    assert (await http.get("/health/ready")).status_code == 200


async def _raw(port: int, request: bytes) -> tuple[int, bytes]:
    """The status and body that a server answers before it has got the whole request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line.lower()
            )
            return int(head.split()[1]), await reader.readexactly(length)
    finally:
        writer.close()
