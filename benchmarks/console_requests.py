"""What is asked of the API and of the console: lists with every kind of filter, details, pages."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from benchmarks.call_world import FAMILY_NAMES, IN_WINTER, LONG_AGO, OFTEN, SELDOM

Request = Callable[[], tuple[str, dict[str, str]]]


def requests_of_the_api(
    dice: random.Random,
    ids: list[UUID],
    agents: list[UUID],
    sample: list[tuple[str, datetime]],
    long_call: UUID,
) -> dict[str, Request]:
    """`sample`: callers and times of calls that there are."""

    def day() -> dict[str, str]:
        begins = dice.choice(sample)[1]
        return {"since": begins.isoformat(), "until": (begins + timedelta(days=1)).isoformat()}

    def calls(**query: Callable[[], object] | str) -> Request:
        return lambda: (
            "/calls",
            {name: value if isinstance(value, str) else str(value()) for name, value in query.items()},
        )

    def slow() -> float:
        return dice.choice([3390, 3300, 2500, 1000])

    def rather_rare() -> str:
        return f"word{dice.randrange(50, 5000)}"

    return {
        "calls, the newest": calls(),
        "calls of a day": lambda: ("/calls", day()),
        "calls, failed": calls(outcome="failed"),
        "calls of an agent": calls(agent_id=lambda: dice.choice(agents)),
        "calls, slow ones": calls(min_latency_ms=slow),
        "calls, slow and failed": calls(min_latency_ms=slow, outcome="failed"),
        "calls of an agent, slow and failed": calls(
            agent_id=lambda: dice.choice(agents), min_latency_ms="2500", outcome="failed"
        ),
        "calls, slower than any": calls(min_latency_ms="5000"),
        "calls, end of a number": calls(number=lambda: dice.choice(sample)[0][-7:]),
        "calls, three digits": calls(number=lambda: dice.choice(sample)[0][-3:]),
        "calls, a number of none": calls(number="999999"),
        "calls, two signs of none": calls(number="*#"),
        "calls, the own number": calls(number="+4930555010"),
        "calls, three digits and failed": calls(number=lambda: dice.choice(sample)[0][-3:], outcome="failed"),
        "calls, the own number and slow": calls(number="+4930555010", min_latency_ms=slow),
        "calls, a word of most": calls(text=OFTEN),
        "calls, a word of few": calls(text=SELDOM),
        "calls, a family name": calls(text=lambda: f"name{dice.randrange(FAMILY_NAMES)}"),
        "calls, two words": calls(text=lambda: f"{rather_rare()} tuesday"),
        "calls, a word of none": calls(text="nowhere"),
        "calls, a word of long ago": calls(text=LONG_AGO),
        "calls, a word of the winters": calls(text=IN_WINTER),
        "calls, a phrase": calls(text=f'"tuesday {OFTEN}"'),
        "calls, a phrase of none": calls(text=f'"tuesday {LONG_AGO}"'),
        "calls, without a word": calls(text=f"-{OFTEN}"),
        "calls, a word of most and failed": calls(text=OFTEN, outcome="failed"),
        "calls, a word of most and slow": calls(text=OFTEN, min_latency_ms=slow),
        "calls, a word of some and slow": calls(text=rather_rare, min_latency_ms=slow),
        "calls, a word of most of an agent": calls(text=OFTEN, agent_id=lambda: dice.choice(agents)),
        "calls, a word of a day": lambda: ("/calls", {"text": rather_rare(), **day()}),
        "one call": lambda: (f"/calls/{dice.choice(ids)}", {}),
        "one call of two hours": lambda: (f"/calls/{long_call}", {}),
        "agents": lambda: ("/agents", {}),
        "one agent": lambda: (f"/agents/{dice.choice(agents)}", {}),
        "versions of an agent": lambda: (f"/agents/{dice.choice(agents)}/versions", {}),
        "numbers": lambda: ("/numbers", {}),
        "trunks": lambda: ("/trunks", {}),
        "bookings": lambda: ("/bookings", {}),
        "callbacks": lambda: ("/callbacks", {}),
        "audit": lambda: ("/audit", {}),
        "usage": lambda: ("/usage", {}),
    }


def requests_of_pages(dice: random.Random, ids: list[UUID], long_call: UUID) -> dict[str, Request]:
    return {
        "page: overview": lambda: ("/", {}),
        "page: calls": lambda: ("/calls", {}),
        "page: calls, a word of few": lambda: ("/calls", {"text": SELDOM}),
        "page: one call": lambda: (f"/calls/{dice.choice(ids)}", {}),
        "page: one call of two hours": lambda: (f"/calls/{long_call}", {}),
        "page: agents": lambda: ("/agents", {}),
    }
