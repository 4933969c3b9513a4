"""The recogniser as a model of Triton's python backend (decoupled, sequence batcher).

Triton starts it in an interpreter of its own; `models/triton/repository.py` writes the few lines that lead
here. `execute` only passes the requests on: the engine's thread answers each through its own sender.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from appliance.errors import InvalidInput, TrunklineError
from models.offline import set_offline
from models.opened import open_model
from models.stt.loop import RecogniserLoop, Request
from models.stt.protocol import SAMPLE_RATE_HZ, Control, control_of

_log = structlog.get_logger(__name__)
_WARM_UP_SECONDS = 60
INVALID = "invalid input: "
"""As `appliance.clients.kserve.INVALID`, which is not imported here: the backend needs no gRPC."""
_STOP_SECONDS = 8.0


class _SenderReply:
    """The answer to one request of Triton."""

    def __init__(self, backend: Any, request: Any) -> None:
        self._backend = backend
        self._sender = request.get_response_sender()
        self._told = False

    def result(self, text: str) -> None:
        tensor = self._backend.Tensor("RESULT", np.array([text.encode()], dtype=object))
        self._sender.send(self._backend.InferenceResponse([tensor]))

    def done(self) -> None:
        if not self._told:
            self._told = True
            self._sender.send(flags=self._backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def error(self, kind: str, message: str) -> None:
        if self._told:
            return
        self._told = True
        codes = self._backend.TritonError
        wrong = kind == "invalid"
        code = codes.INVALID_ARG if wrong else codes.UNAVAILABLE
        text = f"{INVALID}{message}" if wrong else message
        response = self._backend.InferenceResponse(error=codes(text, code))
        self._sender.send(response, flags=self._backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class _Kept:
    """The reply to the engine's own first request."""

    def __init__(self) -> None:
        self.text = ""
        self.failure = ""
        self.over = threading.Event()

    def result(self, text: str) -> None:
        self.text = text

    def done(self) -> None:
        self.over.set()

    def error(self, kind: str, message: str) -> None:
        self.failure = f"{kind}: {message}"
        self.over.set()


def warm_up(loop: RecogniserLoop) -> None:
    """A real inference: two seconds of a quiet sound, recognised to the end. InvalidInput when it fails."""
    seconds = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sound = (800 * np.sin(2 * np.pi * 220 * seconds) * np.sin(2 * np.pi * 3 * seconds)).astype(np.int16)
    kept = _Kept()
    loop.submit(Request(0, True, True, sound, Control(flush=True), kept))
    if not kept.over.wait(_WARM_UP_SECONDS) or kept.failure:
        raise InvalidInput(f"The recogniser failed its first inference. {kept.failure}")
    if json.loads(kept.text)["type"] != "final":
        raise InvalidInput("The recogniser gave no result at its first inference.")


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Proves the weights, loads them and infers once; an error keeps the server from being ready."""
        set_offline()
        self._backend: Any = importlib.import_module("triton_python_backend_utils")
        parameters = {
            name: value["string_value"]
            for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        try:
            opened = open_model(Path(parameters["MANIFEST"]), "stt", parameters["MODEL"])
            began = time.monotonic()
            from models.stt.engine import NemoEngine

            engine = NemoEngine.load(opened, parameters["DEVICE"], threads=int(parameters["THREADS"]))
            self._loop = RecogniserLoop(
                engine,
                max_streams=int(parameters["MAX_STREAMS"]),
                idle_seconds=float(parameters["IDLE_SECONDS"]),
                draining=Path(parameters["DRAIN_FILE"]).exists,
            )
            self._loop.start()
            warm_up(self._loop)
        except TrunklineError as error:
            raise self._backend.TritonModelException(str(error)) from None
        except MemoryError:
            raise self._backend.TritonModelException(
                "There is not enough memory to load the recogniser. Free some, or choose a smaller model."
            ) from None
        _log.info("recogniser ready", model=opened.name, seconds=round(time.monotonic() - began, 1))

    def execute(self, requests: list[Any]) -> None:
        """Passes the requests to the engine's thread, in the order in which they came."""
        for request in requests:
            reply = _SenderReply(self._backend, request)
            try:
                self._loop.submit(self._parsed(request, reply))
            except TrunklineError as error:
                reply.error("invalid", error.message)

    def finalize(self) -> None:
        """The server stops: what is under way is answered."""
        if hasattr(self, "_loop"):
            self._loop.stop(_STOP_SECONDS)

    def _parsed(self, request: Any, reply: _SenderReply) -> Request:
        def tensor(name: str) -> Any:
            return self._backend.get_input_tensor_by_name(request, name)

        audio, control = tensor("AUDIO"), tensor("CONTROL")
        text = b""
        if control is not None:
            said = control.as_numpy().reshape(-1)
            text = said[0] if said.size == 1 else b"[]"
        try:
            options = control_of(text.decode())
        except UnicodeDecodeError as error:
            raise InvalidInput("CONTROL is not UTF-8.", field="CONTROL") from error
        pcm = np.zeros(0, np.int16) if audio is None else audio.as_numpy().reshape(-1).copy()
        return Request(
            sequence=int(tensor("CORRID").as_numpy().reshape(-1)[0]),
            start=bool(tensor("START").as_numpy().reshape(-1)[0]),
            end=bool(tensor("END").as_numpy().reshape(-1)[0]),
            pcm=pcm,
            control=options,
            reply=reply,
        )
