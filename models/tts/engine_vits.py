"""VITS: one pass makes a whole clause, or several at once.

Weights come from the opened model's folder alone and are read as tensors (`weights_only`), never as pickled
objects; paths inside a configuration count by their bare names, beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn.utils import parametrize  # pyright: ignore[reportMissingImports]
from TTS.config import load_config  # pyright: ignore[reportMissingImports]
from TTS.tts.models.vits import Vits  # pyright: ignore[reportMissingImports]

from appliance.errors import IntegrityError, InvalidInput
from models.opened import OpenedModel
from models.tts.clause import Clause, Encoded, Manner, Samples, Sounds
from models.tts.engine_weights import checkpoint, library_version, memory_mib

_LONGEST_PHONEME_FRAMES = 60
"""About 0.7 s. Weights that are wrong ask for hours of sound; that must not fill the memory."""
_MAX_TOKENS = 1200
_BATCH_ON_GPU, _BATCH_ON_CPU = 8, 2
"""A CPU makes eight clauses hardly sooner together than one by one, and then each listener waits for all."""
_SPEAKER_FILES = ("speaker_ids.json", "speakers.json", "speakers.pth")
_LANGUAGE_FILES = ("language_ids.json",)


def _beside(folder: Path, names: Sequence[str]) -> str | None:
    return next((str(folder / name) for name in names if (folder / name).is_file()), None)


class VitsEngine:
    """VITS: one pass makes a whole clause, or several at once."""

    name = "coqui-vits"

    def __init__(self, opened: OpenedModel, device: str) -> None:
        self._device = device
        self.max_batch = _BATCH_ON_GPU if device.startswith("cuda") else _BATCH_ON_CPU
        config: Any = load_config(str(opened.folder / "config.json"))
        for part in (config, config.model_args):
            for key, names in (
                ("speakers_file", _SPEAKER_FILES),
                ("language_ids_file", _LANGUAGE_FILES),
                ("d_vector_file", ()),
            ):
                if key in part:
                    part[key] = _beside(opened.folder, names)
        config.model_args.init_discriminator = False
        config.model_args.use_speaker_encoder_as_loss = False
        self._model: Any = Vits(config)
        state = torch.load(checkpoint(opened.folder), map_location="cpu", weights_only=True)["model"]
        mine = self._model.state_dict()
        self._model.load_state_dict({key: value for key, value in state.items() if key in mine})
        for parameter in self._model.parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise IntegrityError(f"{opened.name} has weights that are no numbers.")
        self._model.eval().to(device)
        self._model.duration_predictor.register_forward_hook(_bounded)
        # Normalised once and not at each pass.
        for module in self._model.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        self.sample_rate_hz = int(config.audio["sample_rate"])
        speakers = self._model.speaker_manager
        self._speaker_ids: dict[str, int] = dict(speakers.name_to_id) if speakers is not None else {}
        self.speakers = tuple(self._speaker_ids)
        languages = self._model.language_manager
        self._language_ids: dict[str, int] = (
            dict(languages.name_to_id)
            if languages is not None and config.model_args.use_language_embedding
            else {}
        )
        spoken = str(config.phoneme_language or "") or opened.profile.languages[0]
        self.languages = tuple(self._language_ids) or (spoken,)
        self.version = library_version()
        self._slowness = float(config.model_args.length_scale)
        self._tokenizer: Any = self._model.tokenizer

    def encode(self, clause: Clause, manner: Manner) -> Encoded:
        tokenizer = self._tokenizer
        language = manner.language
        ids: list[int] = []
        for piece in clause.pieces:
            if isinstance(piece, Sounds):
                symbols = piece.ipa
            else:
                symbols = piece.text
                if tokenizer.text_cleaner is not None:
                    symbols = tokenizer.text_cleaner(symbols, lang=language)
                if tokenizer.use_phonemes:
                    symbols = tokenizer.phonemizer.phonemize(symbols, separator="", language=language)
            space = tokenizer.encode(" ") if ids else []
            ids += space + [number for sign in symbols for number in self._id(sign)]
        if not any(number not in self._silent for number in ids):
            raise InvalidInput("The voice has no sound for this text.", field="TEXT")
        ids = ids[:_MAX_TOKENS]
        if tokenizer.add_blank:
            ids = tokenizer.intersperse_blank_char(ids)
        if tokenizer.use_eos_bos:
            ids = tokenizer.pad_with_bos_eos(ids)
        return Encoded(ids, manner)

    def _id(self, sign: str) -> list[int]:
        try:
            return [self._tokenizer.characters.char_to_id(sign)]
        except KeyError:
            return []

    @property
    def _silent(self) -> frozenset[int]:
        characters = self._tokenizer.characters
        signs = [*(characters.punctuations or ""), " ", "ˈ", "ˌ", "ː"]
        return frozenset(number for sign in signs for number in self._id(sign))

    def render(self, batch: Sequence[Encoded]) -> list[Samples]:
        with torch.inference_mode():
            return self._render(batch)

    def _render(self, batch: Sequence[Encoded]) -> list[Samples]:
        lengths = torch.tensor([len(one.content) for one in batch], device=self._device)
        tokens = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long, device=self._device)
        for row, one in enumerate(batch):
            tokens[row, : len(one.content)] = torch.tensor(one.content)
        manners = [one.manner for one in batch]
        speakers = [self._speaker_ids.get(manner.speaker, 0) for manner in manners]
        languages = [self._language_ids.get(manner.language, 0) for manner in manners]
        self._model.length_scale = torch.tensor(
            [self._slowness / manner.speed for manner in manners], device=self._device
        ).view(-1, 1, 1)
        made = self._model.inference(
            tokens,
            {
                "x_lengths": lengths,
                "d_vectors": None,
                "speaker_ids": torch.tensor(speakers, device=self._device) if self._speaker_ids else None,
                "language_ids": torch.tensor(languages, device=self._device) if self._language_ids else None,
                "durations": None,
            },
        )
        sound = made["model_outputs"].float().cpu().numpy()[:, 0]
        frames = made["y_mask"].sum(dim=(1, 2)).cpu().numpy()
        per_frame = sound.shape[1] / made["y_mask"].shape[-1]
        return [
            np.nan_to_num(sound[row, : round(float(frames[row]) * per_frame)]).astype(np.float32)
            for row in range(len(batch))
        ]

    def stream(self, encoded: Encoded) -> Iterator[Samples]:
        yield from self.render([encoded])

    def memory_mib(self) -> float:
        return memory_mib(self._device)


def _bounded(_module: Any, _inputs: Any, logarithms: Any) -> Any:
    longest = float(np.log(_LONGEST_PHONEME_FRAMES))
    return torch.nan_to_num(logarithms, nan=0.0, posinf=longest, neginf=-longest).clamp(-longest, longest)
