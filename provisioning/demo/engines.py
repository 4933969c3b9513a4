"""What the real engines did in a demo's call: versions and hashes, text recognised, tokens, audio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from appliance.clients.engine_facts import language_facts, language_metrics, speech_facts
from provisioning.lite.box import Box

_TINY_VOICE = "demo-voice"
_COUNTER = re.compile(r'^trunkline_language_tokens_total\{kind="live",side="(\w+)"\} (\S+)$', re.MULTILINE)
_KEPT = ("engine", "version", "model", "sha256")
NOISE = (
    "The voice has random weights (no trained one was added), so what is heard is noise by design; "
    "the caller reads the agent's words."
)


def facts(box: Box) -> list[dict[str, Any]]:
    """Engine, version, model and hash of each. Raises Unavailable when one does not tell."""
    speech = box.settings.speech
    told = {
        "recogniser": speech_facts(speech.stt_address, speech.stt_model),
        "language": language_facts(box.settings.language.base_url),
        "voice": speech_facts(speech.tts_address, speech.tts_model),
    }
    return [{"part": part, **{key: known.get(key) for key in _KEPT}} for part, known in told.items()]


def tokens(box: Box) -> dict[str, int]:
    """Tokens that vLLM has read and written for live turns since its start."""
    found = _COUNTER.findall(language_metrics(box.settings.language.base_url))
    return {"read": 0, "written": 0} | {side: round(float(count)) for side, count in found}


def what_they_did(
    told: Sequence[dict[str, Any]],
    before: dict[str, int],
    after: dict[str, int],
    calls: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The report's part about them."""
    turns = [turn for call in calls for turn in call["turns"]]
    voice = next(each for each in told if each["part"] == "voice")
    return {
        "engines": list(told),
        "recognised": [turn["caller_text"] for turn in turns if turn["caller_text"]],
        "tokens": {side: after[side] - before[side] for side in ("read", "written")},
        "spoken_seconds": round(sum(call["agent_seconds"] for call in calls), 1),
        "note": NOISE if voice["model"] == _TINY_VOICE else "",
    }
