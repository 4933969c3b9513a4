"""A process that recognises speech for several streams; its parent is `models.lite.recogniser_pool`.

pocketsphinx keeps the interpreter lock while it decodes, so it must not live in the server's own process.
Frames on standard input and output: kind (1 byte), stream (4), length (4), payload. The process ends when its
standard input does, so none outlives its server.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, BinaryIO

from appliance.errors import TrunklineError
from models.lite.recogniser import Recogniser
from models.lite.vocabulary import load_vocabulary

HEADER = struct.Struct("<BII")
OPEN, AUDIO, FLUSH, CLOSE, RESULT, FAILED, PREFLIGHT = range(1, 8)
_SPARE = 4


class _Streams:
    """The recognisers by stream. Those without own phrases are kept for the next stream: making one takes
    some 100 ms."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._open: dict[int, Recogniser] = {}
        self._plain: dict[int, str] = {}
        self._spare: dict[str, list[Recogniser]] = {}

    def prepare(self, language: str) -> None:
        """Has a recogniser ready for the first stream: what it needs takes a second to load."""
        load_vocabulary(language).is_sentence("")
        self._spare[language] = [Recogniser(language)]

    def handle(self, kind: int, stream: int, payload: bytes) -> None:
        try:
            if kind == OPEN:
                self._start(stream, json.loads(payload))
            elif stream not in self._open:
                return
            elif kind == AUDIO:
                self._say(stream, RESULT, self._open[stream].push(payload))
            elif kind == FLUSH:
                self._say(stream, RESULT, self._open[stream].flush())
            elif kind == PREFLIGHT:
                self._say(stream, RESULT, self._open[stream].preflight())
            elif kind == CLOSE:
                self._end(stream)
        except TrunklineError as error:
            self._say(stream, FAILED, {"code": error.code, "message": error.message})

    def _start(self, stream: int, options: dict[str, Any]) -> None:
        language, phrases = str(options.get("language", "en")), list(options.get("phrases", ()))
        if phrases:
            self._open[stream] = Recogniser(language, phrases)
            return
        spare = self._spare.setdefault(language, [])
        self._open[stream] = spare.pop() if spare else Recogniser(language)
        self._plain[stream] = language

    def _end(self, stream: int) -> None:
        recogniser = self._open.pop(stream)
        language = self._plain.pop(stream, None)
        if language is not None and len(self._spare[language]) < _SPARE:
            recogniser.restart()
            self._spare[language].append(recogniser)

    def _say(self, stream: int, kind: int, message: dict[str, Any] | None) -> None:
        if message is not None:
            payload = json.dumps(message).encode()
            self._out.write(HEADER.pack(kind, stream, len(payload)) + payload)
            self._out.flush()


def main() -> None:
    """Serves frames until standard input ends."""
    streams = _Streams(sys.stdout.buffer)
    streams.prepare("en")
    frames = sys.stdin.buffer
    while len(header := frames.read(HEADER.size)) == HEADER.size:
        kind, stream, length = HEADER.unpack(header)
        streams.handle(kind, stream, frames.read(length))


if __name__ == "__main__":
    main()
