"""The pages of calls: found, heard, read; nothing of a call is ever run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from playwright.async_api import expect
from sqlalchemy import select

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.calls import tables
from appliance.database.unit_of_work import UnitOfWork
from tests.console.conftest import SignIn
from tests.console.pages.call_world import SCRIPT, KeptCall
from tests.console.pages.conftest import OpenTab
from tests.console.pages.test_lines import revision_in


async def test_a_call_is_found_by_number_words_and_day(sign_in: SignIn, kept_call: KeptCall) -> None:
    member = await sign_in(Role.LISTENER)
    today = datetime.now(UTC).date()
    address = f"/calls/{kept_call.call_id}"
    for query in (
        "number=12345678",
        "text=check-up+tuesday",
        "outcome=booked",
        f"since={today - timedelta(days=1)}&until={today}",
        "latency=500",
    ):
        page = await member.client.get(f"/calls?{query}")
        assert page.status_code == 200
        assert address in page.text, query
    for query in ("number=99999999", "text=elephant", "outcome=failed", "since=2099-01-01", "latency=90000"):
        page = await member.client.get(f"/calls?{query}")
        assert page.status_code == 200
        assert address not in page.text, query


async def test_what_cannot_be_meant_is_told_beside_its_field(sign_in: SignIn, kept_call: KeptCall) -> None:
    member = await sign_in(Role.LISTENER)
    page = await member.client.get("/calls?since=yesterday&latency=quick&agent=1&outcome=x&cursor=x")
    assert page.status_code == 200
    for words in ("Give a day as year-month-day", "Give milliseconds", "no such agent", "no such outcome"):
        assert words in page.text


async def test_a_search_is_kept_under_a_name(sign_in: SignIn, kept_call: KeptCall) -> None:
    member = await sign_in(Role.LISTENER)
    saved = await member.post_form("/calls/filters", {"name": "Müller <b>", "number": "12345678"})
    assert saved.status_code == 303
    page = await member.client.get("/calls")
    assert "Müller &lt;b&gt;" in page.text
    assert "/calls?number=12345678" in page.text
    other = await sign_in(Role.LISTENER)
    assert "Müller" not in (await other.client.get("/calls")).text


async def test_the_export_is_a_csv_and_in_the_audit_log(
    sign_in: SignIn, kept_call: KeptCall, work: Callable[..., UnitOfWork]
) -> None:
    admin = await sign_in(Role.ADMIN, name=(name := f"Exporting Admin {uuid4().hex[:8]}"))
    answer = await admin.client.get("/calls/export.csv?number=12345678")
    assert answer.headers["content-type"].startswith("text/csv")
    assert str(kept_call.call_id) in answer.text
    async with work() as uow:
        found = await uow.session.scalar(select(AuditEntry).where(AuditEntry.actor_name == name))
    assert found is not None
    assert found.action == "calls.exported"
    listener = await sign_in(Role.LISTENER)
    assert (await listener.client.get("/calls/export.csv")).status_code == 403


async def test_a_listener_plays_and_the_auditor_sees_it(
    sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab, work: Callable[..., UnitOfWork]
) -> None:
    name = f"Lena Listener {uuid4().hex[:8]}"
    listener = await sign_in(Role.LISTENER, name=name)
    tab = await open_tab(listener)
    await tab.open(f"/calls/{kept_call.call_id}")
    await expect(tab.page.locator("[data-peaks-state]")).to_be_hidden()
    loud = await tab.page.evaluate(
        """() => { const c = document.querySelector("canvas.wave"), d = c.getContext("2d");
        return d.getImageData(0, 0, c.width, c.height).data.some((value) => value > 0); }"""
    )
    assert loud
    async with work() as uow:
        played = select(AuditEntry).where(AuditEntry.actor_name == name)
        assert (await uow.session.scalars(played)).all() == []
    # The sentence that is clicked is the one that is played, and it is marked.
    await tab.page.locator(".line").nth(3).click()
    await expect(tab.page.locator(".line").nth(3)).to_have_attribute("aria-current", "true")
    await tab.page.wait_for_function("() => document.querySelector('audio').currentTime > 9.0")
    assert await tab.page.evaluate("() => !document.querySelector('audio').error")
    # It follows on by itself.
    await expect(tab.page.locator(".line").nth(4)).to_have_attribute("aria-current", "true")
    assert tab.problems == []
    auditor = await sign_in(Role.AUDITOR)
    page = await auditor.client.get(f"/audit?actor={name.replace(' ', '+')}")
    assert "recordings.play" in page.text
    async with work() as uow:
        entries = (await uow.session.scalars(played)).all()
    assert [entry.action for entry in entries] == ["recordings.play"]
    assert entries[0].subject == f"recording:{kept_call.recording_id}"


async def test_the_waveform_is_moved_by_keys(sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab) -> None:
    tab = await open_tab(await sign_in(Role.LISTENER))
    await tab.open(f"/calls/{kept_call.call_id}")
    await expect(tab.page.locator("[data-peaks-state]")).to_be_hidden()
    wave = tab.page.get_by_role("slider", name="Position in the recording")
    await wave.press("ArrowRight")
    await wave.press("ArrowRight")
    await expect(wave).to_have_attribute("aria-valuenow", "10")
    await wave.press("ArrowLeft")
    await expect(wave).to_have_attribute("aria-valuenow", "5")
    await wave.press("Home")
    await expect(wave).to_have_attribute("aria-valuenow", "0")


async def test_script_in_a_call_stays_text(sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab) -> None:
    tab = await open_tab(await sign_in(Role.ADMIN))
    await tab.open(f"/calls/{kept_call.call_id}")
    assert await tab.page.get_by_text(SCRIPT).count() >= 3
    assert await tab.page.evaluate("() => document.title") != "taken over"
    assert await tab.page.locator("main script").count() == 0


async def test_a_range_is_a_part_and_a_wrong_one_is_refused(sign_in: SignIn, kept_call: KeptCall) -> None:
    member = await sign_in(Role.LISTENER)
    address = f"/calls/{kept_call.call_id}/recordings/{kept_call.recording_id}/audio.wav"
    whole = await member.client.get(address)
    assert (whole.status_code, whole.content[:4]) == (200, b"RIFF")
    part = await member.client.get(address, headers={"range": "bytes=100000-100999"})
    assert (part.status_code, part.content) == (206, whole.content[100_000:101_000])
    assert part.headers["content-range"] == f"bytes 100000-100999/{len(whole.content)}"
    tail = await member.client.get(address, headers={"range": "bytes=-10"})
    assert tail.content == whole.content[-10:]
    wrong = await member.client.get(address, headers={"range": f"bytes={len(whole.content)}-"})
    assert wrong.status_code == 416


async def test_who_may_not_listen_hears_and_reads_nothing(sign_in: SignIn, kept_call: KeptCall) -> None:
    auditor = await sign_in(Role.AUDITOR)
    page = await auditor.client.get(f"/calls/{kept_call.call_id}")
    assert page.status_code == 200
    assert "check-up on Tuesday" not in page.text
    assert "<audio" not in page.text
    base = f"/calls/{kept_call.call_id}/recordings/{kept_call.recording_id}"
    for path in (f"{base}/audio.wav", f"{base}/peaks"):
        assert (await auditor.client.get(path)).status_code == 403
    listener = await sign_in(Role.LISTENER)
    assert (await listener.client.get(f"/calls/{uuid4()}")).status_code == 404
    strange = f"/calls/{uuid4()}/recordings/{kept_call.recording_id}/audio.wav"
    assert (await listener.client.get(strange)).status_code == 404


async def test_a_note_is_written_and_an_empty_one_is_told(
    sign_in: SignIn, kept_call: KeptCall, work: Callable[..., UnitOfWork]
) -> None:
    member = await sign_in(Role.LISTENER, name=(name := f"Nora Note {uuid4().hex[:8]}"))
    path = f"/calls/{kept_call.call_id}/notes"
    empty = await member.post_form(path, {"text": "   "})
    assert empty.status_code == 422
    assert "Write something first." in empty.text
    assert (await member.post_form(path, {"text": "Rang back, all settled."})).status_code == 303
    async with work() as uow:
        note = tables.CallNote
        found = await uow.session.scalar(select(note.text).where(note.author == name))
    assert found == "Rang back, all settled."


async def test_a_link_shows_the_call_until_it_is_revoked(
    sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab
) -> None:
    tab = await open_tab(await sign_in(Role.ADMIN))
    await tab.open(f"/calls/{kept_call.call_id}")
    await tab.page.get_by_label("With the recording").check()
    await tab.page.get_by_role("button", name="Make a link").click()
    address = await tab.page.locator(".copy code").inner_text()
    stranger = await open_tab(None)
    path = address.removeprefix(tab.origin)
    await stranger.open(path)
    await expect(stranger.page.get_by_text("check-up on Tuesday")).to_be_visible()
    await expect(stranger.page.locator("[data-peaks-state]")).to_be_hidden()
    await tab.open(f"/calls/{kept_call.call_id}")
    tab.page.on("dialog", lambda dialog: dialog.accept())
    await tab.page.get_by_role("button", name="Revoke").first.click()
    await expect(tab.page.get_by_text("The link opens nothing any more.")).to_be_visible()
    answer = await stranger.page.goto(address)
    assert answer is not None
    assert answer.status == 404


async def test_what_the_organization_wants_masked_is_masked(
    sign_in: SignIn, kept_call: KeptCall, work: Callable[..., UnitOfWork]
) -> None:
    admin = await sign_in(Role.ADMIN)
    html = (await admin.client.get("/organization")).text
    fields = {"name": "Riverside Dental Practice", "timezone": "Europe/Berlin", "language": "en"}
    note = f"Card 4111 1111 1111 1111 {uuid4().hex[:6]}"
    address = f"/calls/{kept_call.call_id}"
    assert (await admin.post_form(f"{address}/notes", {"text": note})).status_code == 303
    assert "4111 1111" in (await admin.client.get(address)).text
    masks = fields | {"redaction.card_numbers": "on", "revision": revision_in(html)}
    assert (await admin.post_form("/organization", masks)).status_code == 303
    try:
        page = (await admin.client.get(address)).text
        assert "4111 1111" not in page
        assert "Card [card number]" in page
    finally:
        html = (await admin.client.get("/organization")).text
        back = await admin.post_form("/organization", fields | {"revision": revision_in(html)})
        assert back.status_code == 303
