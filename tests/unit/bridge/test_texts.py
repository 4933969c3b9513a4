"""What the bridge reads from Asterisk and writes for it: dial strings, callers, quality, sounds."""

from __future__ import annotations

import wave
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from runtime.sip.admission import inbound_leg
from runtime.sip.ladder import Ladder, quality_of, quality_of_summary
from runtime.sip.sounds import FRAME_BYTES, Sentences, ringback
from runtime.sip.transfer import dial_string

TRUNK = UUID("01900000-0000-7000-8000-000000000001")
careful = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("target", "dialled"),
    [
        ("201", f"PJSIP/201@trunk-{TRUNK}"),
        ("+49 (30) 555-010", f"PJSIP/+4930555010@trunk-{TRUNK}"),
        ("sip:anna@pbx.example:5070", f"PJSIP/trunk-{TRUNK}/sip:anna@pbx.example:5070"),
    ],
)
def test_numbers_and_addresses_are_dialled(target: str, dialled: str) -> None:
    assert dial_string(target, TRUNK) == dialled


@careful
@given(st.text(max_size=40))
def test_nothing_but_a_number_or_an_address_reaches_the_dial_string(target: str) -> None:
    try:
        dialled = dial_string(target, TRUNK)
    except InvalidInput:
        return
    rest = dialled.removeprefix("PJSIP/").replace(f"trunk-{TRUNK}", "", 1)
    assert not set(rest) & set("/,&|;\n\r\"' ") or rest.startswith("/sip")


def start(**changes: Any) -> dict[str, Any]:
    channel = {
        "id": "17.1",
        "dialplan": {"exten": "4930555010"},
        "caller": {"number": "4912", "name": ""},
        "channelvars": {"TRUNKLINE_SIP_CALL_ID": "abc@pbx"},
    }
    return {"type": "StasisStart", "args": ["inbound", str(TRUNK)], "channel": channel | changes}


def test_a_caller_is_read_from_the_event() -> None:
    leg = inbound_leg(start())
    assert leg is not None
    assert (leg.called, leg.caller, leg.caller_name, leg.sip_call_id, leg.trunk_id) == (
        "4930555010",
        "4912",
        None,
        "abc@pbx",
        TRUNK,
    )


def test_a_number_that_is_no_number_is_not_shown_to_a_human() -> None:
    leg = inbound_leg(start(caller={"number": 'evil"<sip:x>', "name": "x"}))
    assert leg is not None
    assert leg.shown_number == ""


@pytest.mark.parametrize("arguments", [[], ["inbound"], ["target"], ["inbound", "no uuid"]])
def test_what_is_no_caller_is_not_taken_for_one(arguments: list[str]) -> None:
    assert inbound_leg(start() | {"args": arguments}) is None


def test_the_summary_of_a_leg_is_its_quality() -> None:
    quality = quality_of_summary(
        "ssrc=1;themssrc=2;lp=10;rxjitter=0.002;rxcount=90;txjitter=0.001;txcount=100;rlp=0;rtt=0.03"
    )
    assert (quality.rx_packets, quality.tx_packets, quality.rx_loss, quality.tx_loss) == (90, 100, 0.1, 0.0)
    assert (quality.rx_jitter_ms, quality.tx_jitter_ms, quality.rtt_ms) == (2.0, 1.0, 30.0)


@careful
@given(st.text(max_size=200), st.dictionaries(st.sampled_from(["rxcount", "rtt", "rxploss"]), st.floats()))
def test_odd_statistics_are_left_out(text: str, statistics: dict[str, float]) -> None:
    assert quality_of_summary(text).model_dump_json()
    assert quality_of(statistics).model_dump_json()


def test_the_ladder_is_bounded_and_names_no_digits() -> None:
    ladder = Ladder()
    for _ in range(5000):
        ladder.note("caller", {"type": "ChannelDtmfReceived", "digit": "7"}, was_up=True)
    assert len(ladder.entries) == 500
    assert ladder.entries[0].detail is None


def test_ringing_never_ends_and_has_whole_frames() -> None:
    frames = list(islice(ringback(), 600))
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert any(any(frame) for frame in frames[250:])


def test_a_sentence_is_played_in_whole_frames_and_its_language_falls_back(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    with wave.open(str(tmp_path / "en" / "one_moment.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(b"\x01\x10" * 500)
    frames = list(Sentences(tmp_path).frames("one_moment", "de-AT"))
    assert [len(frame) for frame in frames] == [FRAME_BYTES, FRAME_BYTES]
    assert b"".join(frames).startswith(b"\x01\x10" * 500)


def test_a_missing_sentence_is_a_tone_and_not_silence(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "broken.wav").write_bytes(b"RIFF")
    for key in ("broken", "missing"):
        assert any(any(frame) for frame in Sentences(tmp_path).frames(key, "en"))
