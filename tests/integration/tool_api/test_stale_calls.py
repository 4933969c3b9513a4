"""Places that nobody gives back: `release_stale`, as the jobs worker calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.domain import Finish, Progress
from appliance.calls.life import release_stale
from appliance.calls.tables import Call
from appliance.clients.tool_api import ToolApiClient
from appliance.database.engine import create_engine
from tests.integration.tool_api.test_life import AN_END, at
from tests.integration.tool_api.world import World


@pytest_asyncio.fixture
async def engines(own: World) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    router = create_engine(own.box.settings.database, "router")
    app = create_engine(own.box.settings.database, "app")
    yield router, app
    await router.dispose()
    await app.dispose()


async def test_a_silent_call_is_given_up_and_a_late_end_still_counts(
    service: ToolApiClient, own: World, engines: tuple[AsyncEngine, AsyncEngine]
) -> None:
    now = datetime.now(UTC)
    silent, ringing, answered, finished, transferred = [
        (await service.admit(own.request())).call_id for _ in range(5)
    ]
    for call_id in (answered, finished, transferred):
        await service.progress(call_id, Progress(status="answered", at=now))
    for call_id, outcome in ((finished, "completed"), (transferred, "transferred")):
        report = Finish.model_validate({"outcome": outcome, "ended_by": "agent"})
        await service.finish(call_id, report)
    old = now - timedelta(minutes=6)
    for call_id in (silent, answered, finished, transferred):
        own.change(Call, call_id, last_news_at=old)
    for call_id in (finished, transferred):
        own.change(Call, call_id, finished_at=old)
    released = set(await release_stale(*engines, now))
    assert {silent, finished} <= released
    assert not released & {ringing, answered, transferred}
    assert (own.call(silent).status, own.call(silent).outcome) == ("abandoned", "failed")
    assert (own.call(finished).status, own.call(finished).outcome) == ("abandoned", "completed")
    assert not {silent, finished} & set(await release_stale(*engines, now))
    await service.ended(silent, AN_END)
    row = own.call(silent)
    assert (row.status, row.ended_at, row.answered_at) == ("ended", at(60), at(2))
    assert not {answered, transferred} & set(await release_stale(*engines, now))
    much_later = now + timedelta(hours=5)
    assert {answered, transferred} <= set(await release_stale(*engines, much_later))
