"""Whatever is sent, the API never breaks: Schemathesis over the whole OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case

from tests.console.api.conftest import TIMEOUT_SECONDS
from tests.console.api.operations import RULES

EXAMPLES = 8
"""Of each endpoint, in each of the two modes: what fits the schema, and what does not."""
ENDLESS = r"/events$"


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("keycloak_box")
def test_nothing_breaks_it(console_url: str, probed_key: str) -> None:
    """Every operation of the document; all that broke is told at once."""
    document = schemathesis.openapi.from_url(f"{console_url}/api/v1/openapi.json")
    broken: dict[str, str] = {}
    tried: dict[str, set[int]] = {}
    authorization = {"Authorization": f"Bearer {probed_key}"}

    def probe(case: Case, name: str) -> None:
        case.headers = {**(case.headers or {}), **authorization}  # what is tried out is not the key
        answer = case.call(base_url=console_url, timeout=TIMEOUT_SECONDS)
        tried.setdefault(name, set()).add(answer.status_code)
        assert answer.status_code < 500, f"{answer.status_code} {answer.text[:300]}"
        assert answer.status_code != 401, "the key must hold, or nothing was tried"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert {"type", "title", "status", "detail", "code"} <= answer.json().keys()

    for found in document.exclude(path_regex=ENDLESS).get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                _many_times(
                    operation.as_strategy(generation_mode=mode), lambda case, name=name: probe(case, name)
                )
            except Unsatisfiable:
                continue  # nothing of this endpoint can be given wrongly
            except Exception as error:
                broken[f"{name} ({mode.value})"] = f"{type(error).__name__}: {error}"[:600]
    assert not broken, "\n".join(f"{name}: {what}" for name, what in broken.items())
    assert set(tried) == set(RULES) - {"streamCallEvents"}


def _many_times(cases: Any, probe: Callable[[Case], None]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def run(case: Case) -> None:
        probe(case)

    run()
