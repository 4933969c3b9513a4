"""The planner: sane plans for known boxes, and a refusal only when there is no placement at all."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from models.inventory import Gpu, Inventory, Slice
from models.manifest import Licence, Memory, Profile, load_catalog
from models.placement import Plan, Refusal, devices_of, plan

CATALOG = load_catalog()
SMALL = Inventory(gpus=(Gpu(index=0, name="L4", memory_mib=24564),))
LARGE = Inventory(gpus=(Gpu(index=0, name="H100", memory_mib=81559),))
CUT = Inventory(
    gpus=(
        Gpu(
            index=0,
            name="A100",
            memory_mib=40960,
            slices=(
                Slice(profile="4g.20gb", memory_mib=19968),
                Slice(profile="2g.10gb", memory_mib=9856),
            ),
        ),
        Gpu(index=1, name="A100", memory_mib=40960),
    )
)


def profiles(*names: str) -> list[Profile]:
    return [CATALOG[name] for name in names]


def sized(name: str, mib: int) -> Profile:
    return Profile(
        name=name,
        role="stt",
        engine="nemo",
        format="nemo",
        architectures=("any",),
        licence=Licence(id="none", commercial=True),
        languages=("en",),
        memory=Memory(load_mib=mib, per_stream_mib=0),
        measured="estimate",
    )


def test_one_small_card_serves_the_quantized_model():
    result = plan(
        SMALL, profiles("qwen2.5-7b-instruct-awq", "fastconformer-hybrid-large-streaming", "vits"), 8
    )
    assert isinstance(result, Plan)
    assert {placed.device for placed in result.placed} == {"gpu0"}
    assert result.used_mib(result.devices[0]) <= 24564 * 0.94


def test_one_small_card_refuses_the_full_model_and_says_what_helps():
    wanted = profiles("qwen2.5-7b-instruct", "parakeet-tdt-0.6b-v3", "vits")
    result = plan(SMALL, wanted, 32, catalog=list(CATALOG.values()))
    assert isinstance(result, Refusal)
    assert any("Plan for" in remedy for remedy in result.remedies)
    assert any("Take qwen2.5-7b-instruct-awq" in remedy for remedy in result.remedies)
    fewer = int(next(r for r in result.remedies if "Plan for" in r).split()[2])
    assert isinstance(plan(SMALL, wanted, fewer), Plan)
    assert isinstance(plan(SMALL, wanted, fewer + 1), Refusal)


def test_one_large_card_serves_the_large_model():
    result = plan(LARGE, profiles("qwen2.5-32b-instruct-awq", "parakeet-tdt-0.6b-v3", "vits"), 16)
    assert isinstance(result, Plan)


def test_a_card_that_is_cut_is_used_by_its_slices():
    assert [device.id for device in devices_of(CUT)] == ["gpu0.0", "gpu0.1", "gpu1"]
    wanted = profiles("qwen2.5-32b-instruct-awq", "parakeet-tdt-0.6b-v3", "xtts-v2")
    result = plan(CUT, wanted, 8)
    assert isinstance(result, Plan)
    places = {placed.profile: placed.device for placed in result.placed}
    assert places["qwen2.5-32b-instruct-awq"] == "gpu1"
    assert all(result.used_mib(device) <= device.usable_mib for device in result.devices)


def test_a_model_larger_than_any_slice_is_refused_though_the_sum_would_hold_it():
    halves = Inventory(
        gpus=(
            Gpu(
                index=0,
                name="A100",
                memory_mib=40960,
                slices=tuple(Slice(profile="3g.20gb", memory_mib=19968) for _ in range(2)),
            ),
        )
    )
    result = plan(halves, [sized("big", 25000)], 1)
    assert isinstance(result, Refusal)
    assert result.remedies


def test_no_gpu_and_no_model_are_said_so():
    with pytest.raises(InvalidInput, match="no GPU"):
        plan(Inventory(gpus=()), profiles("vits"), 1)
    with pytest.raises(InvalidInput, match="No model"):
        plan(SMALL, [], 1)
    with pytest.raises(InvalidInput, match="at least one call"):
        plan(SMALL, profiles("vits"), 0)


@given(
    sizes=st.lists(st.integers(100, 9000), min_size=1, max_size=5),
    cards=st.lists(st.integers(500, 20000), min_size=1, max_size=3),
)
def test_it_refuses_exactly_when_nothing_fits(sizes: list[int], cards: list[int]):
    box = Inventory(
        gpus=tuple(Gpu(index=i, name="card", memory_mib=memory) for i, memory in enumerate(cards))
    )
    usable = [device.usable_mib for device in devices_of(box)]
    possible = any(
        all(
            sum(size for size, at in zip(sizes, places, strict=True) if at == card) <= usable[card]
            for card in range(len(usable))
        )
        for places in product(range(len(usable)), repeat=len(sizes))
    )
    result = plan(box, [sized(f"m{i}", size) for i, size in enumerate(sizes)], 1)
    assert isinstance(result, Plan) == possible
    if isinstance(result, Plan):
        assert sorted(placed.memory_mib for placed in result.placed) == sorted(sizes)
        assert all(result.used_mib(device) <= device.usable_mib for device in result.devices)
