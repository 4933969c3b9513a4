"""XTTS: an autoregressive model that gives sound while it goes on."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from TTS.config import load_config  # pyright: ignore[reportMissingImports]
from TTS.tts.models.xtts import (  # pyright: ignore[reportMissingImports]
    Xtts,
    _legacy_safe_globals,  # pyright: ignore[reportUnknownVariableType]
)

from appliance.errors import IntegrityError, InvalidInput
from models.opened import OpenedModel
from models.tts.clause import Clause, Encoded, Manner, Samples
from models.tts.engine_weights import checkpoint, library_version, memory_mib


def _xtts_weights(path: Path) -> Any:
    """The tensors; older files hold a configuration beside them, whose classes are then let through."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)["model"]
    except pickle.UnpicklingError:
        with _legacy_safe_globals():
            return torch.load(path, map_location="cpu", weights_only=True)["model"]


class XttsEngine:
    """XTTS: an autoregressive model that gives sound while it goes on; its speakers' latents stay loaded."""

    name = "coqui-xtts"
    max_batch = 0

    def __init__(self, opened: OpenedModel, device: str) -> None:
        self._device = device
        folder = opened.folder
        config: Any = load_config(str(folder / "config.json"))
        for needed in ("vocab.json", "speakers_xtts.pth"):
            if not (folder / needed).is_file():
                raise IntegrityError(f"{opened.name}: {needed} is missing.", remedy="Put the file back.")
        self._model: Any = Xtts.init_from_config(config)
        # Theirs rewrites an older checkpoint in place, and then it is no longer the file that was added.
        self._model._load_checkpoint = _xtts_weights
        self._model.load_checkpoint(
            config,
            checkpoint_path=str(checkpoint(folder)),
            vocab_path=str(folder / "vocab.json"),
            speaker_file_path=str(folder / "speakers_xtts.pth"),
            eval=True,
        )
        self._model.to(device)
        self._latents: dict[str, tuple[Any, Any]] = {
            name: (latents["gpt_cond_latent"].to(device), latents["speaker_embedding"].to(device))
            for name, latents in self._model.speaker_manager.speakers.items()
        }
        self.speakers = tuple(self._latents)
        self.languages = tuple(config.languages)
        self.sample_rate_hz = int(config.model_args.output_sample_rate)
        self.version = library_version()
        self._encoding = threading.Lock()

    def encode(self, clause: Clause, manner: Manner) -> Encoded:
        text = clause.text.strip()
        base = manner.language.split("-")[0]
        with self._encoding:  # the tokenizer of this model is not made for several threads
            tokens = self._model.tokenizer.encode(text.lower(), lang=base)
        if len(tokens) >= self._model.args.gpt_max_text_tokens:
            raise InvalidInput("The clause is too long for this voice.", field="TEXT")
        return Encoded(text, manner)

    def render(self, batch: Sequence[Encoded]) -> list[Samples]:
        return [np.concatenate(list(self.stream(one))) for one in batch]

    def stream(self, encoded: Encoded) -> Iterator[Samples]:
        latent, embedding = self._latents[encoded.manner.speaker]
        with torch.inference_mode():
            for chunk in self._model.inference_stream(
                encoded.content,
                encoded.manner.language,
                latent,
                embedding,
                speed=encoded.manner.speed,
                enable_text_splitting=False,
            ):
                yield np.nan_to_num(chunk.float().cpu().numpy().reshape(-1)).astype(np.float32)

    def memory_mib(self) -> float:
        return memory_mib(self._device)
