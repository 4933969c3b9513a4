"""Voices on coqui-tts: VITS clause by clause in batches, XTTS as a stream. Only here is torch used.

Weights come from the opened model's folder alone and are read as tensors (`weights_only`), never as pickled
objects; paths inside a configuration count by their bare names, beside it.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch  # pyright: ignore[reportMissingImports]
from torch.nn.utils import parametrize  # pyright: ignore[reportMissingImports]
from TTS.config import load_config  # pyright: ignore[reportMissingImports]
from TTS.tts.models.vits import Vits  # pyright: ignore[reportMissingImports]
from TTS.tts.models.xtts import (  # pyright: ignore[reportMissingImports]
    Xtts,
    _legacy_safe_globals,  # pyright: ignore[reportUnknownVariableType]
)

from appliance.errors import IntegrityError, InvalidInput, TrunklineError
from models.opened import OpenedModel
from models.tts.clause import Clause, Encoded, Engine, Manner, Samples, Sounds

_LONGEST_PHONEME_FRAMES = 60
"""About 0.7 s. Weights that are wrong ask for hours of sound; that must not fill the memory."""
_MAX_TOKENS = 1200
_BATCH_ON_GPU, _BATCH_ON_CPU = 8, 2
"""A CPU makes eight clauses hardly sooner together than one by one, and then each listener waits for all."""
_SPEAKER_FILES = ("speaker_ids.json", "speakers.json", "speakers.pth")
_LANGUAGE_FILES = ("language_ids.json",)


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


def _beside(folder: Path, names: Sequence[str]) -> str | None:
    return next((str(folder / name) for name in names if (folder / name).is_file()), None)


def _checkpoint(folder: Path) -> Path:
    for name in ("model.pth", "best_model.pth", "model_file.pth"):
        if (folder / name).is_file():
            return folder / name
    found = [path for path in sorted(folder.glob("*.pth")) if not path.name.startswith("speaker")]
    if len(found) != 1:
        raise IntegrityError(f"{folder.name} has {len(found)} checkpoints; name one model.pth.")
    return found[0]


def _memory_mib(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device) / 2**20
    return psutil.Process(os.getpid()).memory_info().rss / 2**20


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
        state = torch.load(_checkpoint(opened.folder), map_location="cpu", weights_only=True)["model"]
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
        self.version = _version()
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
        return _memory_mib(self._device)


def _bounded(_module: Any, _inputs: Any, logarithms: Any) -> Any:
    longest = float(np.log(_LONGEST_PHONEME_FRAMES))
    return torch.nan_to_num(logarithms, nan=0.0, posinf=longest, neginf=-longest).clamp(-longest, longest)


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
            checkpoint_path=str(_checkpoint(folder)),
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
        self.version = _version()
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
        return _memory_mib(self._device)


def _version() -> str:
    from importlib.metadata import version

    return version("coqui-tts")


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
