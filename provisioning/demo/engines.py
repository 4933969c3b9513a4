"""What the real engines did in a demo's call: versions and hashes, text recognised, tokens, audio."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from appliance.clients.engine_facts import language_facts, language_metrics, speech_facts
from appliance.clients.speech import TextToSpeech
from provisioning.lite.box import Box
from provisioning.lite.engines import has_trained_voice

_SENTENCE_SECONDS = 60.0
_BYTES_PER_SECOND = 24000 * 2
_COUNTER = re.compile(r'^trunkline_language_tokens_total\{kind="live",side="(\w+)"\} (\S+)$', re.MULTILINE)
_KEPT = ("engine", "version", "model", "sha256")
BESIDE = (
    "No trained voice was added, and the tiny one has random weights and speaks noise: the caller heard "
    "espeak-ng's voice, and Coqui spoke the same sentences beside it."
)


def facts(box: Box) -> list[dict[str, Any]]:
    """Engine, version, model and hash of each. Raises Unavailable when one does not tell."""
    speech = box.settings.speech
    told = {
        "recogniser": speech_facts(speech.stt_address, speech.stt_model),
        "language": language_facts(box.settings.language.base_url),
        "voice": speech_facts(_voice_address(box), speech.tts_model),
    }
    return [{"part": part, **{key: known.get(key) for key in _KEPT}} for part, known in told.items()]


def _voice_address(box: Box) -> str:
    return f"127.0.0.1:{box.ports['voice']}"


async def speak_beside(box: Box, sentences: Sequence[str]) -> float:
    """Has Coqui speak the agent's sentences; the seconds of audio that came. Unavailable when it does not."""
    voice = TextToSpeech(
        _voice_address(box),
        box.settings.speech.tts_model,
        first_audio_timeout_seconds=_SENTENCE_SECONDS,
        connect_timeout_seconds=_SENTENCE_SECONDS,
    )
    size = 0
    try:
        for sentence in sentences:
            async for chunk in voice.synthesize(sentence, language="en"):
                size += len(chunk)
    finally:
        await voice.close()
    return size / _BYTES_PER_SECOND


def tokens(box: Box) -> dict[str, int]:
    """Tokens that vLLM has read and written for live turns since its start."""
    found = _COUNTER.findall(language_metrics(box.settings.language.base_url))
    return {"read": 0, "written": 0} | {side: round(float(count)) for side, count in found}


def what_they_did(
    box: Box,
    told: Sequence[dict[str, Any]],
    before: dict[str, int],
    after: dict[str, int],
    calls: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The report's part about them."""
    turns = [turn for call in calls for turn in call["turns"]]
    if has_trained_voice(box.directory):
        seconds, note = sum(call["agent_seconds"] for call in calls), ""
    else:
        sentences = [turn["agent_text"] for turn in turns if turn["agent_text"]]
        seconds, note = asyncio.run(speak_beside(box, sentences)), BESIDE
    return {
        "engines": list(told),
        "recognised": [turn["caller_text"] for turn in turns if turn["caller_text"]],
        "tokens": {side: after[side] - before[side] for side in ("read", "written")},
        "spoken_seconds": round(seconds, 1),
        "note": note,
    }
