"""Whatever is sent, the API never breaks: Schemathesis over the whole OpenAPI document."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from tests.console.api.conftest import TIMEOUT_SECONDS

EXAMPLES = 12
ENDLESS = r"/events$"


@pytest.fixture(scope="module")
def api_schema(console_url: str):
    return schemathesis.openapi.from_url(f"{console_url}/api/v1/openapi.json")


schema = schemathesis.pytest.from_fixture("api_schema").exclude(path_regex=ENDLESS)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_nothing_breaks_it(case: Case, console_url: str, probed_key: str) -> None:
    answer = case.call(
        base_url=console_url, headers={"Authorization": f"Bearer {probed_key}"}, timeout=TIMEOUT_SECONDS
    )
    assert answer.status_code < 500, f"{case.method} {case.path}: {answer.status_code} {answer.text[:500]}"
    assert answer.status_code != 401, "the key must hold, or nothing was tried"
    if answer.status_code >= 400 and case.method != "HEAD":
        assert answer.headers["content-type"] == ["application/problem+json"]
        assert {"type", "title", "status", "detail", "code"} <= answer.json().keys()
