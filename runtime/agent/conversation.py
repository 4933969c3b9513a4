"""The turn loop of a call: a session of livekit-agents over our engines, and what the call learns from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    APIConnectOptions,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    inference,
    llm,
    stt,
    tts,
)
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent_session import SessionConnectOptions

from appliance.calls.domain import CallContext
from appliance.clients.language import LanguageModel
from appliance.clients.speech import TTS_SAMPLE_RATE_HZ, SpeechToText, SttResult, TextToSpeech
from runtime.agent.captions import Captions
from runtime.agent.ear import Ear
from runtime.agent.end_of_turn import EndOfTurn
from runtime.agent.pauses import PauseDetector
from runtime.agent.plugins.llm import RemoteLLM
from runtime.agent.plugins.stt import RemoteSTT
from runtime.agent.plugins.tts import RemoteTTS
from runtime.agent.speaker import Speaker
from runtime.agent.turns import TurnLog

_log = structlog.get_logger(__name__)

Engine = Literal["stt", "llm", "tts"]
_NO_RETRY = APIConnectOptions(max_retry=0, timeout=5.0)
_FALSE_INTERRUPTION_SECONDS = 1.2
_MAX_TOOL_STEPS = 5
_MAX_ATTEMPTS = 10
"""Answers that are begun in one turn: one for each pause in which the words are others."""
_FRAME_BYTES = TTS_SAMPLE_RATE_HZ // 50 * 2


@dataclass(frozen=True)
class TurnModels:
    """What decides about turns, loaded before the call; runs in the worker's process, offline."""

    vad: inference.VAD
    end_of_turn: inference.TurnDetector


@dataclass(frozen=True)
class Engines:
    """The clients of the engines."""

    recogniser: SpeechToText
    voice: TextToSpeech
    language: LanguageModel
    language_model: str


class ConversationListener(Protocol):
    """What the call is told. Called on the loop; must not wait."""

    def word_heard(self) -> None: ...
    def caller_speaking(self, on: bool) -> None: ...
    def answer_owed(self, on: bool) -> None: ...
    def engine_failed(self, engine: Engine) -> None: ...
    def turns_changed(self) -> None: ...
    def recording_ms(self, epoch_seconds: float) -> int: ...


class Conversation:
    """The session of one call, made but not started."""

    def __init__(
        self,
        context: CallContext,
        prompt: str,
        models: TurnModels,
        engines: Engines,
        tools: list[llm.Tool | llm.Toolset],
        ear: Ear,
        speaker: Speaker,
        log: TurnLog,
        listener: ConversationListener,
        captions: Captions | None = None,
    ) -> None:
        snapshot = context.snapshot
        self._log = log
        self._listener = listener
        self._speaker = speaker
        self._captions = captions
        self._committed = True
        """False while the caller speaks or has spoken what no turn was made of yet: work is speculative."""
        self._turn_text = ""
        """What was recognised since the last turn."""
        chat = llm.ChatContext.empty()
        for utterance in context.conversation:
            role: Literal["user", "assistant"] = "user" if utterance.role == "caller" else "assistant"
            chat.add_message(role=role, content=utterance.text)
        self._recogniser = RemoteSTT(
            engines.recogniser,
            language=snapshot.language,
            phrases=snapshot.phrases,
            agent_has_the_floor=lambda: speaker.has_the_floor,
            on_final=self._final_result,
        )
        self._agent = Agent(instructions=prompt, chat_ctx=chat, tools=tools)
        taking = snapshot.turn_taking
        self._session: AgentSession[Any] = AgentSession(
            stt=self._recogniser,
            llm=RemoteLLM(
                engines.language,
                model=engines.language_model,
                on_begin=lambda: log.answer_begins(speculative=not self._committed),
                on_first_token=lambda: self._mark("llm_first_token"),
            ),
            tts=RemoteTTS(engines.voice, voice=snapshot.voice, language=snapshot.language, mark=self._mark),
            vad=PauseDetector(models.vad, self._recogniser.pause),
            turn_handling={
                "turn_detection": EndOfTurn(models.end_of_turn, lambda: self._turn_text),
                "endpointing": {
                    "mode": "fixed",
                    "min_delay": taking.min_endpointing_ms / 1000,
                    "max_delay": max(taking.max_endpointing_ms, taking.min_endpointing_ms) / 1000,
                },
                "interruption": {
                    "mode": "vad",
                    "min_duration": taking.interruption_min_ms / 1000,
                    "min_words": taking.interruption_min_words,
                    "false_interruption_timeout": _FALSE_INTERRUPTION_SECONDS,
                    "resume_false_interruption": True,
                },
                "preemptive_generation": {
                    "enabled": True,
                    "preemptive_tts": True,
                    "max_retries": _MAX_ATTEMPTS,
                },
            },
            max_tool_steps=_MAX_TOOL_STEPS,
            user_away_timeout=None,
            aec_warmup_duration=None,
            session_close_transcript_timeout=1.0,
            conn_options=SessionConnectOptions(
                stt_conn_options=_NO_RETRY,
                llm_conn_options=_NO_RETRY,
                tts_conn_options=_NO_RETRY,
                max_unrecoverable_errors=1_000_000,  # the call decides what a failure means
            ),
        )
        self._session.input.audio = ear
        self._session.output.audio = speaker
        self._session.output.transcription = captions or speaker.spoken_text
        self._session.on("user_state_changed", self._user_state)
        self._session.on("agent_state_changed", self._agent_state)
        self._session.on("user_input_transcribed", self._transcribed)
        self._session.on("conversation_item_added", self._item_added)
        self._session.on("error", self._error)

    async def start(self) -> None:
        """Begins to listen. Nothing of the framework's own recording, telemetry or room handling is used."""
        await self._session.start(self._agent, record=False, session_host=False)

    async def aclose(self) -> None:
        await self._session.aclose()

    @property
    def speaking_or_answering(self) -> bool:
        """Whether the agent speaks, or is about to."""
        return self._session.agent_state in ("speaking", "thinking")

    def say(self, text: str, pcm: bytes, *, interruptible: bool = True) -> SpeechHandle:
        """Speaks prepared audio (24 kHz mono, 16 bit) as a part of the conversation; without any, the voice
        speaks the text."""
        if not pcm:
            return self._session.say(text, allow_interruptions=interruptible)
        return self._session.say(text, audio=_frames(pcm), allow_interruptions=interruptible)

    def answer(self, caller_text: str | None = None) -> None:
        """Lets the agent answer: `caller_text` (keys, for example), or the conversation as it stands."""
        if caller_text is None:
            self._session.generate_reply()
        else:
            self._session.generate_reply(user_input=caller_text)

    async def typed(self, text: str) -> None:
        """The caller wrote instead of speaking: it ends what the agent says, but for what must be heard."""
        with contextlib.suppress(RuntimeError):  # this speech is not to be interrupted; the answer follows it
            await self._session.interrupt()
        self._session.generate_reply(user_input=text)

    def write_only(self) -> None:
        """From now on the agent is read and not heard."""
        self._session.output.set_audio_enabled(False)

    async def interrupt(self) -> None:
        """Ends what the agent says or is about to say."""
        await self._session.interrupt(force=True)

    def said_since_last_turn(self) -> bool:
        """Whether the agent has spoken since the caller's last words."""
        for item in reversed(self._session.history.items):
            if item.type == "message" and item.role == "user":
                return False
            if item.type == "message" and item.role == "assistant":
                return True
        return False

    def _mark(self, name: Literal["llm_first_token", "first_clause", "tts_first_audio"]) -> None:
        self._log.mark(name, time.time(), speculative=not self._committed)

    def _final_result(self, result: SttResult) -> None:
        self._log.mark("stt_final", time.time(), speculative=True)
        self._turn_text = f"{self._turn_text} {result.text}".strip()

    def _user_state(self, event: UserStateChangedEvent) -> None:
        speaking = event.new_state == "speaking"
        if speaking:
            self._committed = False
            self._recogniser.speech_heard()
        elif event.old_state == "speaking":
            self._recogniser.pause_heard()
            self._log.mark("vad_end", time.time(), speculative=True)
        self._listener.caller_speaking(speaking)

    def _agent_state(self, event: AgentStateChangedEvent) -> None:
        self._listener.answer_owed(event.new_state == "thinking")

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._listener.word_heard()
            if self._captions is not None:
                self._captions.heard(event.transcript, final=event.is_final)

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        text = item.text_content or ""
        metrics = item.metrics
        started = metrics.get("started_speaking_at", item.created_at)
        stopped = metrics.get("stopped_speaking_at")
        if item.role == "user":
            self._committed = True
            self._turn_text = ""
            self._log.caller_said(text, started_at=started, stopped_at=stopped)
            if stopped is not None:
                self._log.mark("end_of_turn", stopped + metrics.get("end_of_turn_delay", 0.0))
        elif item.role == "assistant":
            self._log.agent_said(text, at=started, interrupted=item.interrupted)
        else:
            return
        self._log.spoke(
            "caller" if item.role == "user" else "agent",
            text,
            starts_ms=self._listener.recording_ms(started),
            ends_ms=self._listener.recording_ms(stopped or time.time()),
            confidence=item.transcript_confidence,
        )
        self._listener.turns_changed()

    def _error(self, event: ErrorEvent) -> None:
        error = event.error
        engine: Engine | None = None
        if isinstance(error, stt.STTError):
            engine = "stt"
        elif isinstance(error, llm.LLMError):
            engine = "llm"
        elif isinstance(error, tts.TTSError):
            engine = "tts"
        if engine is not None and not getattr(error, "recoverable", False):
            _log.warning("engine failed", engine=engine)
            self._listener.engine_failed(engine)


async def _frames(pcm: bytes) -> AsyncIterator[rtc.AudioFrame]:
    for at in range(0, len(pcm), _FRAME_BYTES):
        piece = pcm[at : at + _FRAME_BYTES]
        yield rtc.AudioFrame(piece, TTS_SAMPLE_RATE_HZ, 1, len(piece) // 2)
