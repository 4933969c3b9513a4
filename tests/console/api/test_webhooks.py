"""Webhooks: told with what happened, signed, retried, replayed; and never sent into the box."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from appliance.access.domain import Right
from appliance.calls import life
from appliance.calls.domain import Ended, RecordingSealed
from appliance.clients.outbound_http import OutboundHttp
from appliance.recordings.service import record_sealed
from appliance.recordings.tables import Recording
from appliance.webhooks.domain import EVENT_NAMES, RETRY_AFTER
from appliance.webhooks.sending import WebhookSender
from appliance.webhooks.tables import WebhookDelivery, WebhookEndpoint
from tests.console.api.conftest import Program, ProgramMaker
from tests.console.api.receiver import Receiver, receiver
from tests.integration.database.world import Data, Tenant


class Post:
    """The sender of the jobs worker, a step at a time, for one organization."""

    def __init__(self, data: Data, tenant: Tenant) -> None:
        self._data = data
        self._tenant = tenant
        self._sender = WebhookSender(data.app, data.router, data.keys, OutboundHttp.of(["127.0.0.0/8"]))

    async def deliver_due(self) -> list[bool]:
        now = datetime.now(UTC)
        mine = [
            due for due in await self._sender.due(now) if due.organization_id == self._tenant.organization_id
        ]
        return [await self._sender.deliver(due, now) for due in mine]

    async def let_time_pass(self) -> timedelta:
        """What waits is due now; returns how long it would have waited."""
        async with self._data.work(self._tenant.organization_id) as uow:
            waiting = await uow.session.scalar(
                select(WebhookDelivery.next_try_at).where(WebhookDelivery.state == "waiting").limit(1)
            )
            assert waiting is not None
            await uow.session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.state == "waiting")
                .values(next_try_at=datetime.now(UTC))
            )
        return waiting - datetime.now(UTC)


@pytest.fixture
async def post(data: Data, tenant: Tenant) -> Post:
    async with data.work(tenant.organization_id) as uow:  # what the test's world has of its own
        for row in await uow.session.scalars(select(WebhookEndpoint)):
            await uow.session.delete(row)
    return Post(data, tenant)


async def subscribe(program: Program, to: Receiver, *events: str) -> dict[str, Any]:
    made = await program.http.post("/webhooks", json={"url": to.url, "events": events or EVENT_NAMES})
    assert made.status_code == 201
    return made.json()


async def end_call(data: Data, tenant: Tenant) -> None:
    now = datetime.now(UTC)
    async with data.work(tenant.organization_id) as uow:
        await life.ended(uow, tenant.call_id, Ended(at=now, hangup_party="caller"), now)


async def deliveries(program: Program, endpoint_id: str) -> list[dict[str, Any]]:
    return (await program.http.get(f"/webhooks/{endpoint_id}/deliveries")).json()["items"]


async def test_the_end_of_a_call_is_told_signed_and_without_words(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        hook = await subscribe(mine, far, "call.ended")
        await end_call(data, tenant)
        assert await post.deliver_due() == [True]
        assert await post.deliver_due() == [], "once is enough"
        headers, body = far.received[0]
        event = Webhook(hook["secret"]).verify(body, headers)
        assert (event["specversion"], event["type"]) == ("1.0", "trunkline.call.ended")
        assert event["data"]["call_id"] == str(tenant.call_id)
        assert event["subject"] == f"calls/{tenant.call_id}"
        assert event["id"] == headers["webhook-id"]
        assert headers["Content-Type"] == "application/cloudevents+json"
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["secret"]).verify(body.replace(b"caller", b"callee") + b" ", headers)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + "A" * 43 + "=").verify(body, headers)
    [delivery] = await deliveries(mine, hook["endpoint"]["id"])
    assert (delivery["state"], delivery["tries"], delivery["last_status"]) == ("delivered", 1, 204)


async def test_nobody_is_told_what_they_did_not_ask_for(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        hook = await subscribe(mine, far, "booking.made")
        await end_call(data, tenant)
        assert await post.deliver_due() == []
        assert await deliveries(mine, hook["endpoint"]["id"]) == []


async def test_what_was_taken_back_is_not_told(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    async with receiver() as far:
        await subscribe(await program(), far, "call.ended")
        now = datetime.now(UTC)
        async with data.work(tenant.organization_id) as uow:
            await life.ended(uow, tenant.call_id, Ended(at=now, hangup_party="caller"), now)
            await uow.session.rollback()
        assert await post.deliver_due() == []


async def test_a_failure_is_tried_again_later_and_each_try_is_written_down(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver(500, 302) as far:
        hook = await subscribe(mine, far, "call.ended")
        await end_call(data, tenant)
        assert await post.deliver_due() == [False]
        assert await post.deliver_due() == [], "not before its time"
        first = await post.let_time_pass()
        assert timedelta(0) < first <= RETRY_AFTER[0]
        assert await post.deliver_due() == [False], "a redirect is not followed"
        second = await post.let_time_pass()
        assert first < second <= RETRY_AFTER[1]
        assert await post.deliver_due() == [True]
        ids = {headers["webhook-id"] for headers, _ in far.received}
        assert (len(far.received), len(ids)) == (3, 1), "the receiver can tell a repetition"
    [delivery] = await deliveries(mine, hook["endpoint"]["id"])
    detail = (await mine.http.get(f"/webhook-deliveries/{delivery['id']}")).json()
    assert [each["status"] for each in detail["attempts"]] == [500, 302, 204]
    assert (detail["state"], detail["tries"]) == ("delivered", 3)


async def test_a_receiver_that_never_takes_it_is_given_up(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        hook = await subscribe(mine, far, "call.ended")
    await end_call(data, tenant)  # nobody listens there any more
    for _ in range(len(RETRY_AFTER)):
        assert await post.deliver_due() == [False]
        await post.let_time_pass()
    assert await post.deliver_due() == [False]
    [delivery] = await deliveries(mine, hook["endpoint"]["id"])
    assert (delivery["state"], delivery["tries"]) == ("failed", len(RETRY_AFTER) + 1)
    assert await post.deliver_due() == []


async def test_a_delivery_is_replayed_by_hand(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        hook = await subscribe(mine, far, "call.ended")
        await end_call(data, tenant)
        await post.deliver_due()
        [first] = await deliveries(mine, hook["endpoint"]["id"])
        again = await mine.http.post(f"/webhook-deliveries/{first['id']}/replay")
        assert (again.status_code, again.json()["replay_of"]) == (202, first["id"])
        assert await post.deliver_due() == [True]
        assert far.received[0][1] == far.received[1][1]
        assert far.received[0][0]["webhook-id"] == far.received[1][0]["webhook-id"]


async def test_a_renewed_secret_signs_from_then_on_beside_the_one_before_it(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        hook = await subscribe(mine, far, "call.ended")
        endpoint = hook["endpoint"]["id"]
        new = (await mine.http.post(f"/webhooks/{endpoint}/secret")).json()["secret"]
        assert (await mine.http.post(f"/webhooks/{endpoint}/test")).status_code == 202
        assert await post.deliver_due() == [True]
        headers, body = far.received[0]
        for secret in (new, hook["secret"]):
            assert Webhook(secret).verify(body, headers)["type"] == "trunkline.endpoint.test"


async def test_recordings_and_versions_are_told_too(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    mine = await program()
    async with receiver() as far:
        await subscribe(mine, far)
        async with data.work(tenant.organization_id) as uow:
            recording_id: UUID | None = await uow.session.scalar(select(Recording.id))
            assert recording_id is not None
            await record_sealed(uow, recording_id, RecordingSealed(state="sealed"))
            await record_sealed(uow, recording_id, RecordingSealed(state="stored"))
            await record_sealed(uow, recording_id, RecordingSealed(state="stored"))
        draft = await mine.http.get(f"/agents/{tenant.agent_id}/draft")
        snapshot = draft.json()["snapshot"] | {
            "name": "Reception",
            "prompt": "You answer.",
            "greeting": "Hello.",
        }
        saved = await mine.http.put(
            f"/agents/{tenant.agent_id}/draft", json={"snapshot": snapshot}, headers={"If-Match": "*"}
        )
        assert saved.json()["flaws"] == []
        published = await mine.http.post(f"/agents/{tenant.agent_id}/publish", json={})
        assert published.status_code == 201
        while await post.deliver_due():
            pass
        told = [json.loads(body)["type"] for _, body in far.received]
        assert sorted(told) == ["trunkline.agent.version_published", "trunkline.recording.ready"]


async def test_the_box_itself_is_not_reached(
    data: Data, program: ProgramMaker, tenant: Tenant, post: Post
) -> None:
    """As the site has it when nothing is allowed: the delivery fails, and nothing was sent."""
    mine = await program()
    strict = WebhookSender(data.app, data.router, data.keys, OutboundHttp())
    async with receiver() as far:
        hook = await subscribe(mine, far, "call.ended")
        await end_call(data, tenant)
        now = datetime.now(UTC)
        [due] = [each for each in await strict.due(now) if each.organization_id == tenant.organization_id]
        assert await strict.deliver(due, now) is False
        assert far.received == []
    [delivery] = await deliveries(mine, hook["endpoint"]["id"])
    assert "may not be reached" in delivery["last_error"]


async def test_a_function_that_is_tried_does_not_reach_the_box_either(program: ProgramMaker) -> None:
    http = (await program(Right.FUNCTIONS_WRITE, Right.FUNCTIONS_READ)).http
    async with receiver() as far:
        made = await http.post("/functions", json={"name": "inside", "description": "x", "url": far.url})
        tried = await http.post(f"/functions/{made.json()['id']}/try", json={"arguments": {}})
        assert (tried.status_code, tried.json()["ok"]) == (200, False)
        assert "may not be reached" in tried.json()["error"]
        assert far.received == []
