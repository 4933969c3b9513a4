"""Who speaks when: a caller who agrees is not taken for one who interrupts, and time is up for everybody."""

from __future__ import annotations

import time

from provisioning.caller import SipCaller
from provisioning.lite.box import Box
from provisioning.lite.seed import LAB_PORT_AFTER_SIP_PORT
from tests.fixtures.agents import agent_with
from tests.fixtures.calls import place_call

_GREETING = (
    "Welcome to the Riverside Dental Practice. This is the digital assistant. I can book an appointment for"
    " you, tell you which times are free, take an order, or put you through to one of my colleagues at the"
    " reception. You may interrupt me at any time. So, how can I help you today?"
)
"""Some fifteen seconds: long enough that an agent who is not stopped is still speaking."""
_LIMIT_SECONDS = 45
_NS = 1_000_000_000


async def test_barge_in_and_the_time_limit_in_one_call(box: Box) -> None:
    box.start()
    human = SipCaller(box.ports["asterisk"] + LAB_PORT_AFTER_SIP_PORT)
    patient = {"prompt_after_seconds": 90, "end_after_seconds": 90}
    limits = {"max_duration_seconds": _LIMIT_SECONDS}
    async with human:
        with agent_with(box, consent="", greeting=_GREETING, silence=patient, limits=limits):
            async with place_call(box) as call:
                await call.leg.answered(60)
                began_ns = await call.leg.hears_speech(60, since_ns=call.leg.invited_ns)

                # "okay" over the agent: it may hesitate, but goes on with the same sentence.
                await call.leg.silence(1.0)
                agreed = await call.leg.speak("okay")
                await call.leg.hears_speech(20, since_ns=agreed.last_speech_ns + 2 * _NS)
                assert not [turn for turn in await call.turns() if turn["caller_text"]]

                # A sentence over the agent: it stops in mid-sentence and answers.
                said = await call.leg.speak("I would like to book an appointment please")
                assert await call.leg.hears_quiet(0.5, 20) - began_ns < 13 * _NS, "the agent spoke to its end"
                await call.leg.hears_speech(60, since_ns=said.last_speech_ns)
                await call.leg.hears_quiet(1.0, 60)
                first = (await call.turns())[0]
                assert first["interrupted"]
                assert "Riverside" in first["agent_text"]
                assert "today" not in first["agent_text"]

                # A warning when little time is left; when it is over a person takes over.
                taken_over = await human.next_call(120)
                rang_after_seconds = (time.time_ns() - call.leg.answered_ns) / _NS
                assert rang_after_seconds > _LIMIT_SECONDS - 2
                await taken_over.answer()
                question = await call.leg.speak("hello can you help me")
                await taken_over.hears_speech(60, since_ns=question.first_speech_ns)
                await taken_over.hangup()
                row = await call.finished(60)
                assert row["outcome"] == "transferred"
                told = await call.agent_text()
                assert told.index("little time left") < told.index("putting you through")
