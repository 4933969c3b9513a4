"""Writes a tiny voice with random weights as coqui-tts keeps one: `build.py vits|xtts FOLDER`.

Runs in the speech environment. Four languages by espeak-ng's phonemes, three speakers, no noise: the same
sentence gives the same sound each time, so that tests can compare. The sound itself is noise.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

LANGUAGES = ("en", "de", "fr-fr", "es")
"""As espeak-ng names them."""
SPEAKERS = ("ada", "ben", "cleo")
_SEED = 20261121


def build_vits(folder: Path) -> None:
    """`config.json`, `model.pth`, `speaker_ids.json`, `language_ids.json`; the configuration last."""
    import torch
    from TTS.config.shared_configs import BaseDatasetConfig
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits, VitsArgs

    torch.manual_seed(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speaker_ids.json").write_text(json.dumps({name: n for n, name in enumerate(SPEAKERS)}))
    (folder / "language_ids.json").write_text(json.dumps({name: n for n, name in enumerate(LANGUAGES)}))
    arguments = VitsArgs(
        init_discriminator=False,
        hidden_channels=32,
        hidden_channels_ffn_text_encoder=64,
        num_layers_text_encoder=2,
        num_layers_flow=2,
        num_layers_posterior_encoder=2,
        upsample_initial_channel_decoder=16,
        length_scale=2.0,
        inference_noise_scale=0.0,
        inference_noise_scale_dp=0.0,
        use_speaker_embedding=True,
        speaker_embedding_channels=32,
        speakers_file=str(folder / "speaker_ids.json"),
        use_language_embedding=True,
        embedded_language_dim=4,
        language_ids_file=str(folder / "language_ids.json"),
    )
    config = VitsConfig(
        model_args=arguments,
        use_phonemes=True,
        phonemizer="multi_phonemizer",
        phoneme_language="en-us",
        datasets=[
            BaseDatasetConfig(formatter="vctk", dataset_name=name, language=name, phonemizer="espeak")
            for name in LANGUAGES
        ],
        add_blank=True,
        text_cleaner="multilingual_cleaners",
    )
    model = Vits(config)
    with torch.no_grad():
        # Louder than random weights alone.
        for parameter in model.waveform_decoder.conv_post.parameters():
            parameter.mul_(8.0)
    torch.save({"model": model.state_dict(), "config": {}, "step": 0}, folder / "model.pth")
    written = folder / "config.json.new"
    config.save_json(str(written))
    tree = json.loads(written.read_text())
    # A voice must not depend on where it was built: the engine finds these beside the configuration.
    for part in (tree, tree["model_args"]):
        part["speakers_file"] = "speaker_ids.json"
        part["language_ids_file"] = "language_ids.json"
    written.write_text(json.dumps(tree, indent=1))
    written.rename(folder / "config.json")


def build_xtts(folder: Path) -> None:
    """The same for XTTS: a tokenizer of letters, two layers, and the latents of two speakers."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts, XttsArgs

    torch.manual_seed(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{name}]" for name in ("en", "de", "fr", "es"))]
    letters = sorted(set("abcdefghijklmnopqrstuvwxyzäöüßéèêçàñáíóú.,!?'-:; "))
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "vocab.json"))
    width = 64
    config = XttsConfig(
        languages=["en", "de", "fr", "es"],
        model_args=XttsArgs(
            gpt_layers=2,
            gpt_n_model_channels=width,
            gpt_n_heads=2,
            gpt_max_audio_tokens=60,
            gpt_max_text_tokens=400,
            gpt_max_prompt_tokens=16,
            gpt_num_audio_tokens=66,
            gpt_start_audio_token=64,
            gpt_stop_audio_token=65,
            decoder_input_dim=width,
            d_vector_dim=512,
        ),
    )
    model = Xtts.init_from_config(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    torch.save(
        {
            name: {
                "gpt_cond_latent": torch.randn(1, 16, width),
                "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
            }
            for name in SPEAKERS[:2]
        },
        folder / "speakers_xtts.pth",
    )
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    config.save_json(str(folder / "config.json.new"))
    (folder / "config.json.new").rename(folder / "config.json")


def main() -> int:
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    kind, folder = sys.argv[1], Path(sys.argv[2])
    {"vits": build_vits, "xtts": build_xtts}[kind](folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
