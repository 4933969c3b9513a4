"""One stream of speech to text with pocketsphinx: speech is cut out of the audio, decoded as it comes in, and
judged before it is believed."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pocketsphinx

from models.lite.features import CONTEXT_FRAMES, FRAME_MS, analysis, cepstra, loudness
from models.lite.hearing import Heard, Judge
from models.lite.pronouncing import ACOUSTIC_MODEL, ADAPTED, dictionary, pronunciations
from models.lite.vocabulary import Vocabulary, known_words, load_vocabulary

SAMPLE_RATE_HZ = 16_000
_FRAME_MS = 30
_FRAME_BYTES = SAMPLE_RATE_HZ * _FRAME_MS // 1000 * 2
_LEAD_FRAMES = 10
"""Frames before the first one of speech that are decoded too: soft consonants are found late."""
_TAIL_FRAMES = 10
"""Silence after which a piece of speech is decoded to its end; the words before a flush are then ready."""
_START_FRAMES = 3
_MAX_PIECE_FRAMES = 20_000 // _FRAME_MS
_MAX_WORDS = 200
_FAINTEST = 60.0
"""Root mean square of 16-bit samples (-55 dB): the voice detector takes even digital silence for speech at
times, and of all words one always fits best."""
_INTERIM_EVERY_FRAMES = 10


class Recogniser:
    """The recogniser of one stream. Not to be used by two threads at once.

    `push` takes 16-bit 16 kHz mono samples and returns an interim result when there is news; `preflight`
    returns what `flush` would, and the segment goes on; `flush` ends it and returns its final result. Results
    have the form of Contract 3's RESULT.
    """

    def __init__(self, language: str, phrases: Sequence[str] = ()) -> None:
        self._vocabulary: Vocabulary = load_vocabulary(language)
        promised = _promised(self._vocabulary, phrases)
        self._decoder, self._live = _decoders(self._vocabulary, promised)
        self._judge = Judge(self._vocabulary, promised)
        self._live_frames = 0
        self._voice_detector: Any = pocketsphinx.Vad(pocketsphinx.Vad.LOOSE, SAMPLE_RATE_HZ, _FRAME_MS / 1000)
        self._rest = b""
        self._lead: deque[bytes] = deque(maxlen=_LEAD_FRAMES)
        self._piece: list[bytes] = []
        self._piece_starts_ms = 0
        self._speech_run = 0
        self._silence_run = 0
        self._frames = 0
        self._words: list[dict[str, Any]] = []
        self._last_interim = ""
        self._foreseen: list[dict[str, Any]] | None = None
        """The words of the piece at its last pause; None when speech has come since."""

    @property
    def audio_ms(self) -> int:
        return self._frames * _FRAME_MS + len(self._rest) // 2 * 1000 // SAMPLE_RATE_HZ

    def push(self, pcm: bytes) -> dict[str, Any] | None:
        """More audio of the segment."""
        audio = self._rest + pcm
        whole = len(audio) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = audio[whole:]
        for start in range(0, whole, _FRAME_BYTES):
            self._take(audio[start : start + _FRAME_BYTES])
        return self._interim()

    def preflight(self) -> dict[str, Any]:
        """What the segment's words are if no more are said. A flush after mere silence then costs nothing."""
        if self._piece and self._foreseen is None:
            self._foreseen = self._decoded(b"".join(self._piece))
        return self._result("preflight", self._words + (self._foreseen or []))

    def flush(self) -> dict[str, Any]:
        """The end of the segment; the next one begins with the next `push`."""
        if self._rest:
            self._take(self._rest.ljust(_FRAME_BYTES, b"\0"))
            self._rest = b""
        self._end_piece()
        result = self._result("final", self._words)
        self._words, self._last_interim = [], ""
        self._lead.clear()
        self._speech_run = 0
        return result

    def restart(self) -> None:
        """Forgets everything that was heard, for another stream."""
        self.flush()
        self._frames = 0

    def _take(self, frame: bytes) -> None:
        self._frames += 1
        speech = bool(self._voice_detector.is_speech(frame))
        if not self._piece:
            self._lead.append(frame)
            self._speech_run = self._speech_run + 1 if speech else 0
            if self._speech_run >= _START_FRAMES:
                self._begin_piece()
            return
        self._piece.append(frame)
        self._silence_run = 0 if speech else self._silence_run + 1
        self._speech_run = self._speech_run + 1 if speech else 0
        if self._speech_run >= _START_FRAMES:
            self._foreseen = None
        if self._silence_run >= _TAIL_FRAMES or len(self._piece) >= _MAX_PIECE_FRAMES:
            self._end_piece()
        elif len(self._piece) % _INTERIM_EVERY_FRAMES == 0:
            self._hear_so_far()

    def _begin_piece(self) -> None:
        self._piece = list(self._lead)
        self._lead.clear()
        self._piece_starts_ms = (self._frames - len(self._piece)) * _FRAME_MS
        self._silence_run = 0
        self._live.start_utt()
        self._live_frames = 0

    def _hear_so_far(self) -> None:
        """Gives the quick decoder the frames it has not seen, normalised by all that is known by now."""
        known = cepstra(b"".join(self._piece))[:-CONTEXT_FRAMES]
        fresh = known[self._live_frames :]
        if len(fresh):
            self._live.process_cep(fresh.tobytes(), False, False)
            self._live_frames = len(known)

    def _end_piece(self) -> None:
        if not self._piece:
            return
        self._live.end_utt()
        heard = self._decoded(b"".join(self._piece)) if self._foreseen is None else self._foreseen
        self._words = (self._words + heard)[:_MAX_WORDS]
        self._piece, self._foreseen = [], None
        self._speech_run = 0

    def _decoded(self, pcm: bytes) -> list[dict[str, Any]]:
        """The words in a piece: the sentence that was decoded, or short phrases that fit better."""
        if loudness(pcm) < _FAINTEST:
            return []
        heard = analysis(pcm)
        self._decoder.start_utt()
        self._decoder.process_cep(heard.cepstra.tobytes(), False, True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        text = " ".join(_spoken_words(str(hypothesis.hypstr))) if hypothesis else ""
        words = self._judge.words(heard, text)
        return [self._said(each) for each in words] if words is not None else self._sentence()

    def _said(self, word: Heard) -> dict[str, Any]:
        return {
            "word": word.word,
            "start_ms": self._piece_starts_ms + word.first_frame * FRAME_MS,
            "end_ms": self._piece_starts_ms + word.end_frame * FRAME_MS,
            "confidence": word.confidence,
        }

    def _sentence(self) -> list[dict[str, Any]]:
        """The words that the decoder heard, with times in the stream."""
        words: list[dict[str, Any]] = []
        if self._decoder.hyp() is None:
            return words
        logmath = self._decoder.get_logmath()
        for segment in self._decoder.seg():
            spoken = _spoken_words(str(segment.word))
            if spoken:
                heard = Heard(
                    spoken[0],
                    segment.start_frame,
                    segment.end_frame + 1,
                    round(min(1.0, logmath.exp(segment.prob)), 3),
                )
                words.append(self._said(heard))
        return words

    def _interim(self) -> dict[str, Any] | None:
        hypothesis = self._live.hyp() if self._piece else None
        heard = [word["word"] for word in self._words]
        text = " ".join([*heard, *(_spoken_words(str(hypothesis.hypstr)) if hypothesis else [])])
        if not text or text == self._last_interim:
            return None
        self._last_interim = text
        return self._result("interim", self._words) | {"text": text}

    def _result(self, kind: str, words: list[dict[str, Any]]) -> dict[str, Any]:
        confidences = [word["confidence"] for word in words]
        return {
            "type": kind,
            "text": " ".join(word["word"] for word in words),
            "words": words,
            "confidence": round(sum(confidences) / len(confidences), 3) if confidences else 0.0,
            "language": self._vocabulary.language,
            "audio_ms": self.audio_ms,
        }


def _spoken_words(text: str) -> list[str]:
    return [word.split("(")[0] for word in text.split() if not word.startswith(("<", "[", "+"))]


def _promised(vocabulary: Vocabulary, phrases: Sequence[str]) -> list[str]:
    """The phrases that can be listened for: those whose words have a pronunciation."""
    return [
        phrase
        for phrase in known_words(phrases)
        if all(pronunciations(vocabulary, word) for word in phrase.split())
    ]


def _decoders(
    vocabulary: Vocabulary, promised: Sequence[str]
) -> tuple[pocketsphinx.Decoder, pocketsphinx.Decoder]:
    """The decoder of final results, and a quick one for interim results."""
    words = vocabulary.words | {word for phrase in promised for word in phrase.split()}
    with tempfile.TemporaryDirectory(prefix="trunkline-stt-") as folder:
        words_file, model_file = Path(folder) / "words.dict", Path(folder) / "sentences.arpa"
        words_file.write_text(dictionary(vocabulary, words), encoding="utf-8")
        model_file.write_text(vocabulary.arpa(promised), encoding="utf-8")
        shared = {
            "hmm": str(ACOUSTIC_MODEL),
            "mean": str(ADAPTED / "means"),
            "featparams": str(ADAPTED / "feat.params"),
            "dict": str(words_file),
            "lm": str(model_file),
            "loglevel": "FATAL",
            "lw": 9.0,
            "wip": 0.1,
        }
        careful = pocketsphinx.Decoder(**shared, fwdflatlw=9.0, bestpathlw=11.0)
        quick = pocketsphinx.Decoder(**shared, fwdflat=False, bestpath=False, pl_window=0)
        return careful, quick
