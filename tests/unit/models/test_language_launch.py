"""How vLLM is started, and what our admission lets through to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from models.llm.vllm.admission import Kind, Places, kind_of
from models.llm.vllm.launch import LIMITS_VARIABLE, Limits, command, environment
from models.llm.vllm.profiles import choose, load_profiles
from models.llm.vllm.requests import check
from models.manifest import AddedModel, WeightFile, load_catalog
from models.offline import OFFLINE
from models.opened import OpenedModel

PROFILES = load_profiles()
LIMITS = Limits("m", "0" * 64, 8, 2, 400, "key", "/nowhere/draining")


def opened(profile: str) -> OpenedModel:
    files = (WeightFile(path="model.safetensors", sha256="0" * 64, size_bytes=1),)
    entry = AddedModel(
        name="ours", profile=profile, folder=Path("/models/ours"), added_at=datetime.now(UTC), files=files
    )
    return OpenedModel(entry, load_catalog()[profile], "vllm")


def option(line: list[str], name: str) -> str:
    return line[line.index(name) + 1]


@pytest.mark.parametrize(
    ("device", "memory_mib", "expected"),
    [
        ("cpu", 0, "cpu-tiny"),
        ("cuda", 24_564, "gpu-24"),
        ("cuda:0", 23_034, "gpu-24"),
        ("cuda", 46_068, "gpu-48"),
        ("cuda", 81_559, "gpu-80"),
        ("cuda:1", 143_771, "gpu-141"),
    ],
)
def test_the_profile_follows_the_memory_of_the_device(device: str, memory_mib: int, expected: str) -> None:
    assert choose(PROFILES, device, memory_mib).name == expected


def test_a_card_too_small_is_refused_with_what_is_needed() -> None:
    with pytest.raises(InvalidInput, match="22000"):
        choose(PROFILES, "cuda", 11_000)


def test_the_site_may_name_a_profile() -> None:
    assert choose(PROFILES, "cuda", 143_771, named="gpu-24").name == "gpu-24"
    with pytest.raises(InvalidInput, match="gpu-80"):
        choose(PROFILES, "cuda", 1, named="gpu-7")


def test_larger_cards_serve_more_and_nobody_loses_the_live_places() -> None:
    gpus = [profile for profile in PROFILES if profile.device == "cuda"]
    assert [profile.max_num_seqs for profile in gpus] == sorted(profile.max_num_seqs for profile in gpus)
    for profile in PROFILES:
        assert 0 < profile.live_reserve < profile.max_requests
        assert profile.max_tokens < profile.max_model_len


def test_the_command_line_serves_the_verified_folder_within_the_models_context() -> None:
    profile = choose(PROFILES, "cuda", 81_559)
    line = command(
        Path("/env/bin/vllm"), opened("demo-chat"), profile, "127.0.0.1", 8000, alias="receptionist"
    )
    assert line[:3] == ["/env/bin/vllm", "serve", "/models/ours"]
    assert line[line.index("--served-model-name") + 1 :][:2] == ["ours", "receptionist"]
    assert option(line, "--max-model-len") == "2048"  # the model's, not the profile's
    assert option(line, "--scheduling-policy") == "priority"
    assert option(line, "--gpu-memory-utilization") == "0.75"
    assert option(line, "--tool-strict-level") == "parameter"
    assert {"--enable-prefix-caching", "--enable-chunked-prefill"} <= set(line)
    assert "--trust-remote-code" not in line
    on_cpu = command(Path("/v"), opened("demo-chat"), choose(PROFILES, "cpu", 0), "127.0.0.1", 8000)
    assert "--gpu-memory-utilization" not in on_cpu
    assert "--enforce-eager" in on_cpu


def test_the_process_is_told_to_stay_on_the_box() -> None:
    made = environment({"PATH": "/bin"}, choose(PROFILES, "cpu", 0), LIMITS, Path("/repository"))
    assert made["PATH"] == "/bin"
    assert {key: made[key] for key in OFFLINE} == dict(OFFLINE)
    assert Limits.from_json(made[LIMITS_VARIABLE]) == LIMITS
    on_gpu = environment({}, choose(PROFILES, "cuda", 81_559), LIMITS, Path("/repository"))
    assert "VLLM_CPU_KVCACHE_SPACE" not in on_gpu


def test_a_request_is_bounded_and_made_strict() -> None:
    tool = {"type": "function", "function": {"name": "end_call", "parameters": {}}}
    sent = {"messages": [], "max_completion_tokens": 9000, "priority": -5, "tools": [tool]}
    checked = check(json.dumps(sent).encode(), 400)
    body = json.loads(checked.body)
    assert body["max_tokens"] == 400
    assert "max_completion_tokens" not in body
    assert body["priority"] == checked.priority == 0
    assert body["tools"][0]["function"]["strict"] is True


def test_who_names_no_priority_waits_for_the_live_turns() -> None:
    assert kind_of(check(b'{"messages": []}', 400).priority) == "other"
    assert kind_of(check(b'{"messages": [], "priority": 0}', 400).priority) == "live"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_sentence(raw: bytes) -> None:
    try:
        checked = check(raw, 400)
    except InvalidInput:
        return
    assert json.loads(checked.body)["max_tokens"] == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["max_tokens", "priority", "n", "tools", "stream", "odd"]), _JSON))
def test_any_fields_are_a_request_or_a_sentence(sent: dict[str, Any]) -> None:
    try:
        body = json.loads(check(json.dumps(sent).encode(), 400).body)
    except InvalidInput:
        return
    assert "odd" not in body
    assert 1 <= body["max_tokens"] <= 400
    assert 0 <= body["priority"] <= 100


@given(st.lists(st.tuples(st.sampled_from(["live", "other"]), st.booleans()), max_size=60))
def test_places_never_go_over_and_live_ones_are_kept(steps: list[tuple[Kind, bool]]) -> None:
    places = Places(total=6, live_reserve=2)
    for kind, comes in steps:
        if comes:
            had = dict(places.taken)
            if not places.take(kind):
                assert sum(had.values()) == 6 or (kind == "other" and had["other"] == 4)
        elif places.taken[kind]:
            places.leave(kind)
        assert places.in_flight <= 6
        assert places.taken["other"] <= 4
        assert min(places.taken.values()) >= 0
