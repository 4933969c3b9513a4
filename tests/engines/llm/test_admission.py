"""Our admission in front of vLLM: bounded, checked, live turns first."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from provisioning.lite.box import Box
from tests.engines.llm.asking import live, until
from tests.unit.engines.diary import SYSTEM

LONG = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "tell me everything"}]


def client(box: Box) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{box.ports['language']}",
        timeout=240,
        trust_env=False,
        limits=httpx.Limits(max_connections=120),
    )


def body(box: Box, **fields: Any) -> dict[str, Any]:
    asked = {"model": box.settings.language.model, "messages": LONG, "max_tokens": 400, "temperature": 1.0}
    return asked | {"priority": 0} | fields


async def metrics(ask: httpx.AsyncClient) -> str:
    return (await ask.get("/metrics")).text


def counted(text: str, name: str, **labels: str) -> float:
    wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.search(rf"^{name}{{{wanted}}} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_over_the_limit_is_told_at_once_and_the_others_are_answered(random_box: Box) -> None:
    async with client(random_box) as ask:
        answers = await asyncio.gather(
            *(ask.post("/v1/chat/completions", json=body(random_box)) for _ in range(100))
        )
        told = [answer for answer in answers if answer.status_code == 429]
        served = [answer for answer in answers if answer.status_code == 200]
        assert len(told) + len(served) == 100
        assert len(served) >= 8  # four write, four wait
        assert told
        for answer in told:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["type"] == "rate_limit_error"
        assert live(random_box)["in_flight"] == 0
        text = await metrics(ask)
    assert counted(text, "trunkline_language_requests_total", kind="live", outcome="at_capacity") >= len(told)


async def test_live_turns_have_places_that_analysis_cannot_take(random_box: Box) -> None:
    async with client(random_box) as ask:

        def start(priority: int) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(
                ask.post("/v1/chat/completions", json=body(random_box, priority=priority))
            )

        later = [start(10) for _ in range(12)]

        async def full() -> bool:
            return sum(task.done() for task in later) >= 6  # refused: six of eight places are for it

        await until(full)
        assert all(task.result().status_code == 429 for task in later if task.done())
        now = await start(0)
        assert now.status_code == 200
        assert {(await task).status_code for task in later} == {200, 429}


async def test_tokens_are_counted_by_kind(language_box: Box) -> None:
    async with client(language_box) as ask:
        before = await metrics(ask)
        answer = await ask.post("/v1/chat/completions", json=body(language_box, priority=10, max_tokens=5))
        used = answer.json()["usage"]
        after = await metrics(ask)
    for side, name in (("read", "prompt_tokens"), ("written", "completion_tokens")):
        grown = counted(after, "trunkline_language_tokens_total", kind="other", side=side) - counted(
            before, "trunkline_language_tokens_total", kind="other", side=side
        )
        assert grown == used[name] > 0
    assert "vllm:prompt_tokens_total" in after


async def test_the_longest_answer_is_ours_to_say(random_box: Box) -> None:
    async with client(random_box) as ask:
        answer = await ask.post("/v1/chat/completions", json=body(random_box, max_tokens=100_000))
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] <= 400


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", "/v1/chat/completions", b"{not json", 400),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"messages": [], "ignore_eos": true}', 400),
        ("POST", "/v1/chat/completions", b'{"messages": [], "n": 3}', 400),
        ("POST", "/v1/chat/completions", b'{"messages": [], "max_tokens": -1}', 400),
        ("POST", "/v1/chat/completions", b" " * 1_100_000, 413),
        ("POST", "/v1/completions", b"{}", 404),
        ("POST", "/v1/load_lora_adapter", b"{}", 404),
        ("GET", "/docs", b"", 404),
        ("DELETE", "/v1/models", b"", 404),
    ],
)
async def test_what_nobody_needs_is_refused_with_a_sentence(
    language_box: Box, method: str, path: str, sent: bytes, status: int
) -> None:
    async with client(language_box) as ask:
        answer = await ask.request(method, path, content=sent)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert live(language_box)["in_flight"] == 0


async def test_it_tells_which_weights_it_serves(language_box: Box) -> None:
    async with client(language_box) as ask:
        told = (await ask.get("/version")).json()
        models = (await ask.get("/v1/models")).json()
    assert told["engine"] == "vllm"
    assert told["version"].startswith("0.32.0")
    assert re.fullmatch(r"[0-9a-f]{64}", told["sha256"])
    assert told["model"] in {model["id"] for model in models["data"]}
