"""Loads a voice of coqui-tts and says what it is. Torch and TTS are imported in `engine*.py` alone."""

from __future__ import annotations

import json
import logging
import pickle

import torch  # pyright: ignore[reportMissingImports]

from appliance.errors import IntegrityError, TrunklineError
from models.opened import OpenedModel
from models.tts.clause import Engine
from models.tts.engine_vits import VitsEngine
from models.tts.engine_xtts import XttsEngine


def load_engine(opened: OpenedModel, device: str = "cpu", *, threads: int = 0) -> Engine:
    """Loads a voice onto `cpu` or a CUDA device. Raises IntegrityError for weights that do not fit it."""
    # The tokenizer of coqui-tts warns with the text itself, which is what a caller hears.
    logging.getLogger("TTS").setLevel(logging.CRITICAL)
    if threads:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            if opened.kind == "xtts":
                return XttsEngine(opened, device)
            return VitsEngine(opened, device)
    except TrunklineError:
        raise
    except pickle.UnpicklingError as error:
        # Its own words advise to run what is in the file.
        raise IntegrityError(f"{opened.name} cannot be loaded: it holds more than tensors.") from error
    except Exception as error:  # weights from outside fail in every way there is
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise IntegrityError(
            f"{opened.name} cannot be loaded: {reason}.", remedy="Add weights that fit their configuration."
        ) from error


def describe(engine: Engine, opened: OpenedModel) -> str:
    """What is served, as JSON: engine, version, model, hash, voices and languages."""
    return json.dumps(
        {
            "engine": engine.name,
            "version": engine.version,
            "model": opened.name,
            "sha256": opened.sha256,
            "voices": list(engine.speakers),
            "languages": list(engine.languages),
            "sample_rate_hz": engine.sample_rate_hz,
        }
    )
