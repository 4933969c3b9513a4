"""What runs in a job process: prewarming before a call, and one call."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

import structlog
from livekit.agents import JobContext, JobProcess, inference

from appliance.calls.dispatch import DispatchMetadata
from appliance.clients.language import LanguageModel
from appliance.clients.speech import SpeechToText, TextToSpeech
from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from runtime.agent.call_session import CallSession
from runtime.agent.conversation import Engines, TurnModels

_log = structlog.get_logger(__name__)

_VAD_SILENCE_SECONDS = 0.25
"""The least that the end-of-turn model of the framework works with."""
_PRIORITY = -5


def prewarm(process: JobProcess) -> None:
    """Before a call is assigned: settings, logging, the turn models."""
    settings = load_settings()
    configure_logging(settings.telemetry, process="worker-call")
    for chatty in ("httpx2", "livekit"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with contextlib.suppress(OSError):  # media goes before the rest only where we may ask for it
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + _PRIORITY)
    process.userdata["settings"] = settings
    # Making an HTTP client reads the system's certificates, which would stall the loop of a call.
    process.userdata["language"] = LanguageModel.from_settings(settings.language)
    process.userdata["models"] = TurnModels(
        vad=inference.VAD(model="silero", min_silence_duration=_VAD_SILENCE_SECONDS),
        end_of_turn=inference.TurnDetector(version="v1-mini"),
    )


async def take_call(job: JobContext) -> None:
    """The entry of a job: begins the call and returns; `close_call` ends it."""
    settings: Settings = job.proc.userdata["settings"]
    try:
        metadata = DispatchMetadata.decode(job.job.metadata)
    except TrunklineError as error:
        _log.error("dispatch refused", code=error.code)
        job.shutdown("not a call")
        return
    structlog.contextvars.bind_contextvars(call_id=str(metadata.call_id), attempt=metadata.attempt)
    speech = settings.speech
    engines = Engines(
        recogniser=SpeechToText(
            speech.stt_address, speech.stt_model, result_timeout_seconds=speech.result_timeout_seconds
        ),
        voice=TextToSpeech(
            speech.tts_address,
            speech.tts_model,
            first_audio_timeout_seconds=speech.first_audio_timeout_seconds,
        ),
        language=job.proc.userdata["language"],
        language_model=settings.language.model,
    )
    call = CallSession(job, settings, job.proc.userdata["models"], engines, metadata)
    job.proc.userdata["engines"] = engines
    job.proc.userdata["call"] = call
    try:
        await call.start()
    except TrunklineError as error:
        _log.error("call not taken", code=error.code)
        job.shutdown("call not taken")


async def close_call(job: JobContext) -> None:
    """The end of a job, whatever ended it."""
    userdata: dict[str, Any] = job.proc.userdata
    call: CallSession | None = userdata.pop("call", None)
    if call is not None:
        structlog.contextvars.bind_contextvars(call_id=str(call.call_id))
        await call.close()
    engines: Engines | None = userdata.pop("engines", None)
    if engines is not None:
        await engines.recogniser.close()
        await engines.voice.close()
        await engines.language.close()
