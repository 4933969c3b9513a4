"""The recogniser through its server: the right words for the right stream, and none for noise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from appliance.clients.speech import SttResult, SttStream
from models.lite.evaluate import recorded_words, score, spoken_lines
from models.lite.recogniser import Recogniser
from models.lite.telephone import recording, spoken, through_telephone
from provisioning.caller.voice import say
from tests.integration.engines.conftest import SpeechServer

LINES = (
    "what times do you have",
    "yes please",
    "wednesday at two thirty",
    "no thank you goodbye",
    "can i speak to a human",
    "on monday",
    "i want to leave a message",
    "next thursday afternoon",
)


def telephone(text: str, voice: str = "en-us+m3") -> bytes:
    return through_telephone(*spoken(text, voice))


async def heard(server: SpeechServer, pcm: bytes, **options: object) -> list[SttResult]:
    """All results of one segment, the final one last."""
    stt = server.stt()
    results: list[SttResult] = []
    async with stt.stream(**options) as stream:  # type: ignore[arg-type]
        for start in range(0, len(pcm), 640):
            await stream.push(pcm[start : start + 640])
        await stream.flush()
        async for result in stream:
            results.append(result)
            if result.type == "final":
                break
    await stt.close()
    return results


async def test_a_line_is_heard_with_interim_results_times_and_confidence(speech: SpeechServer) -> None:
    pcm = telephone("no thank you goodbye")
    *interim, final = await heard(speech, pcm)
    assert final.text == "no thank you goodbye"
    assert interim
    assert all(result.type == "interim" for result in interim)
    assert [word.word for word in final.words] == final.text.split()
    length_ms = len(pcm) // 32
    times = [time for word in final.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert 100 <= times[0] < times[-1] <= length_ms
    assert 0 < final.confidence <= 1
    assert final.language == "en"
    assert abs(final.audio_ms - length_ms) <= 40


async def test_eight_streams_at_once_each_get_their_own_words(speech: SpeechServer) -> None:
    audio = await asyncio.gather(*(asyncio.to_thread(telephone, line) for line in LINES))
    results = await asyncio.gather(*(heard(speech, pcm) for pcm in audio))
    assert [each[-1].text for each in results] == list(LINES)


async def test_segments_of_one_stream_do_not_mix(speech: SpeechServer) -> None:
    stt = speech.stt()
    finals: list[str] = []
    async with stt.stream() as stream:
        for line in ("yes please", "on monday"):
            await stream.push(telephone(line))
            await stream.flush()
        await stream.flush()
        await stream.end()
        finals = [result.text async for result in stream if result.type == "final"]
    await stt.close()
    assert finals == ["yes please", "on monday", ""]


async def told(stream: SttStream, kind: str) -> SttResult:
    async with asyncio.timeout(30):
        async for result in stream:
            if result.type == kind:
                return result
    raise AssertionError(f"the stream ended without a {kind} result")


async def test_what_a_flush_would_answer_can_be_asked_and_the_segment_goes_on(speech: SpeechServer) -> None:
    stt = speech.stt()
    first, second = telephone("yes please"), telephone("on monday")
    async with stt.stream() as stream:
        await stream.preflight()
        assert (await told(stream, "preflight")).text == ""
        await stream.push(first)
        await stream.preflight()
        assert (await told(stream, "preflight")).text == "yes please"
        await stream.push(second)
        await stream.preflight()
        foreseen = await told(stream, "preflight")
        await stream.push(bytes(3_200))
        await stream.flush()
        final = await told(stream, "final")
        assert final.text == foreseen.text == "yes please on monday"
        assert final.words == foreseen.words
        await stream.preflight()
        assert (await told(stream, "preflight")).text == ""  # of the next segment, which has no words yet
    await stt.close()


def silence() -> bytes:
    return bytes(32_000)


def hiss() -> bytes:
    noise = np.random.default_rng(4).normal(0, 0.02, 32_000)
    return (noise * 32767).astype("<i2").tobytes()


def tone() -> bytes:
    return (0.3 * 32767 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype("<i2").tobytes()


def idle_line() -> bytes:
    """Digital silence long enough for the voice detector to settle, and what G.711 A-law makes of it."""
    return bytes(73_600) + (8 * np.ones(32_000)).astype("<i2").tobytes()


@pytest.mark.parametrize("sound", [silence, idle_line, hiss, tone])
async def test_what_is_no_speech_has_no_words(speech: SpeechServer, sound: object) -> None:
    assert callable(sound)
    (*_, final) = await heard(speech, sound())
    assert final.text == ""
    assert final.words == ()


async def test_promised_phrases_are_heard(speech: SpeechServer) -> None:
    (*_, final) = await heard(speech, telephone("orthodontic surgery"), phrases=["Orthodontic surgery", "ß!"])
    assert final.text == "orthodontic surgery"


async def test_clipped_and_odd_audio_still_has_a_result(speech: SpeechServer) -> None:
    loud = np.clip(np.frombuffer(telephone("on monday"), "<i2").astype(int) * 8, -32768, 32767)
    (*_, final) = await heard(speech, loud.astype("<i2").tobytes())
    assert final.type == "final"
    assert (await heard(speech, b"\1\0"))[-1].text == ""
    assert (await heard(speech, b""))[-1].text == ""


def test_word_error_rate_on_telephone_speech() -> None:
    lines = ("i would like to book an appointment please", "at ten o'clock", "yes please", "on monday")
    result = score(spoken_lines(("en-us", "en-us+m3", "en-us+f3"), lines), Recogniser("en"))
    assert result.rate < 0.1, result.wrong


RECORDED = Path("/usr/share/asterisk/sounds/en_US_f_Allison")


def test_recorded_people_are_heard() -> None:
    """A person's short phrases (asterisk-core-sounds-en-wav) at 8 kHz; nothing was learned from her."""
    digits = {f"digits/{number}" for number in range(10)}
    others = {
        "vm-no",
        "hello",
        "vm-goodbye",
        "auth-thankyou",
        "im-sorry",
        "digits/day-5",
        "digits/mon-6",
        "digits/15",
    }
    chosen = [sample for sample in recorded_words(RECORDED) if sample.source in digits | others]
    assert len(chosen) == len(digits | others)
    result = score(chosen, Recogniser("en"))
    assert not digits & {source for source, _, _ in result.wrong}, result.wrong
    assert len(result.wrong) <= 1, result.wrong


@pytest.mark.parametrize("noise", [0, 8, 60, 150, 400])
def test_a_line_that_begins_to_hiss_adds_no_word_to_the_first_sentence(noise: int) -> None:
    """The voice detector of a new stream takes the onset of noise for speech."""
    line = np.frombuffer(bytes(32_000) + telephone("i would like to book an appointment please"), "<i2")
    hiss_after = np.arange(line.size + 90_000) > 8_000
    samples = np.concatenate([np.zeros(60_000), line, np.zeros(30_000)])
    samples += hiss_after * np.random.default_rng(3).normal(0, noise, samples.size)
    recogniser = Recogniser("en")
    recogniser.push(samples.clip(-32_768, 32_767).astype("<i2").tobytes())
    heard = recogniser.flush()["text"].split()
    assert " ".join(heard[1:]) == "would like to book an appointment please", heard


async def test_an_even_answer_is_no_hiss() -> None:
    """These words are nearly as steady as noise, as the demo's caller says them."""
    said = through_telephone(await say("yes please", 8_000) / 32_768, 8_000)
    recogniser = Recogniser("en")
    recogniser.push(bytes(32_000) + said + bytes(32_000))
    assert recogniser.flush()["text"] == "yes please"


def test_nothing_is_heard_in_the_silence_before_a_word() -> None:
    samples, rate_hz = recording(RECORDED / "vm-no.wav")
    for lead_seconds in (0.5, 2.3):
        recogniser = Recogniser("en")
        silence_before = bytes(int(16_000 * lead_seconds) * 2)
        recogniser.push(silence_before + through_telephone(samples, rate_hz) + bytes(32_000))
        assert recogniser.flush()["text"] == "no"


def test_short_phrases_in_a_row_are_all_heard() -> None:
    """Half a second between them at most: one piece of speech or several."""
    names, pause = ("digits/4", "digits/7", "digits/0", "digits/9"), np.zeros(1_600)
    samples = np.concatenate(
        [part for name in names for part in (recording(RECORDED / f"{name}.wav")[0], pause)]
    )
    recogniser = Recogniser("en")
    recogniser.push(through_telephone(samples, 8_000))
    assert recogniser.flush()["text"] == "four seven zero nine"


def test_unknown_words_are_not_trusted() -> None:
    """Words that no pattern knows: nothing is heard, or it is less sure than any word of the vocabulary."""
    recogniser = Recogniser("en")

    def confidence(name: str) -> float:
        recogniser.push(through_telephone(*recording(RECORDED / f"{name}.wav")))
        return float(recogniser.flush()["confidence"])

    known = min(confidence(f"digits/{number}") for number in (2, 3, 7, 9))
    unknown = [confidence(f"letters/{name}") for name in ("ascii123", "ascii37", "ascii60", "ascii94")]
    assert sum(value < known for value in unknown) >= 3, (known, unknown)
