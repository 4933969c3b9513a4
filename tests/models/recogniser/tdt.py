"""A tiny offline recogniser of Parakeet's shape (FastConformer, TDT), with random weights, and what
NeMo's own `transcribe` makes of audio with it.

`python -m tests.models.recogniser.tdt MODEL.nemo AUDIO.npz HEARD.json`, in the speech environment: writes the
model, hears each array of AUDIO (int16, 16 kHz) alone, and writes its text under its name.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import nemo.collections.asr as nemo_asr  # pyright: ignore[reportMissingImports]
import numpy as np
import sentencepiece  # pyright: ignore[reportMissingImports]
import torch  # pyright: ignore[reportMissingImports]
from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

from tests.models.recogniser.phrases import vocabulary

_SEED = 7
_WIDTH = 64
_PIECES = 96
_DURATIONS = [0, 1, 2, 3, 4]
_SILENCE = 4.5
"""Added to the score of saying nothing."""


def _config(tokenizer: Path) -> Any:
    return OmegaConf.create(
        {
            "sample_rate": 16_000,
            "compute_eval_loss": False,
            "log_prediction": False,
            "rnnt_reduction": "mean_batch",
            "skip_nan_grad": False,
            "model_defaults": {
                "enc_hidden": _WIDTH,
                "pred_hidden": _WIDTH,
                "joint_hidden": _WIDTH,
                "tdt_durations": _DURATIONS,
                "num_tdt_durations": len(_DURATIONS),
            },
            "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
            "preprocessor": {
                "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
                "sample_rate": 16_000,
                "normalize": "per_feature",
                "window_size": 0.025,
                "window_stride": 0.01,
                "window": "hann",
                "features": 40,
                "n_fft": 512,
                "dither": 1e-5,
                "pad_to": 0,
            },
            "encoder": {
                "_target_": "nemo.collections.asr.modules.ConformerEncoder",
                "feat_in": 40,
                "feat_out": -1,
                "n_layers": 2,
                "d_model": _WIDTH,
                "subsampling": "dw_striding",
                "subsampling_factor": 8,
                "subsampling_conv_channels": 32,
                "ff_expansion_factor": 4,
                "self_attention_model": "rel_pos",
                "n_heads": 4,
                "att_context_size": [-1, -1],
                "xscaling": False,
                "untie_biases": True,
                "pos_emb_max_len": 2_000,
                "conv_kernel_size": 9,
                "conv_norm_type": "batch_norm",
                "dropout": 0.0,
                "dropout_pre_encoder": 0.0,
                "dropout_emb": 0.0,
                "dropout_att": 0.0,
            },
            "decoder": {
                "_target_": "nemo.collections.asr.modules.RNNTDecoder",
                "normalization_mode": None,
                "random_state_sampling": False,
                "blank_as_pad": True,
                "prednet": {"pred_hidden": _WIDTH, "pred_rnn_layers": 2, "t_max": None, "dropout": 0.0},
            },
            "joint": {
                "_target_": "nemo.collections.asr.modules.RNNTJoint",
                "log_softmax": None,
                "preserve_memory": False,
                "fuse_loss_wer": False,
                "fused_batch_size": 4,
                "num_extra_outputs": len(_DURATIONS),
                "jointnet": {"joint_hidden": _WIDTH, "activation": "relu", "dropout": 0.0},
            },
            "decoding": {
                "strategy": "greedy_batch",
                "model_type": "tdt",
                "durations": _DURATIONS,
                "greedy": {"max_symbols": 10},
            },
            "loss": {
                "loss_name": "tdt",
                "tdt_kwargs": {"fastemit_lambda": 0.0, "durations": _DURATIONS, "sigma": 0.02, "omega": 0.1},
            },
        }
    )


def build(folder: Path) -> Any:
    """The model; `folder` keeps its tokenizer until it is saved."""
    text = folder / "words.txt"
    text.write_text("\n".join(word for word in vocabulary() for _ in range(20)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=_PIECES,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    lines = (folder / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join(line.split("\t")[0] for line in lines[1:]), encoding="utf-8")
    torch.manual_seed(_SEED)
    model = nemo_asr.models.EncDecRNNTBPEModel(cfg=_config(folder))
    _make_varied(model)
    return model.eval()


def _make_varied(model: Any) -> None:
    """Random weights say one thing whatever they hear. With both sides of the joint network centred and
    scaled by data, what is said depends on the audio and on what was said before, with silence in between."""
    choose = torch.Generator().manual_seed(_SEED)
    seconds = torch.arange(0, 8, 1 / 16_000)
    sound = 0.1 * torch.randn(seconds.shape, generator=choose) * torch.sin(7 * seconds) ** 2
    sound += 0.1 * torch.sin(2_000 * seconds + 900 * torch.sin(3 * seconds))
    model.eval()
    with torch.no_grad():
        features, lengths = model.preprocessor(input_signal=sound[None], length=torch.tensor([sound.numel()]))
        encoded, _ = model.encoder(audio_signal=features, length=lengths)
        pieces = torch.randint(0, _PIECES, (64, 3), generator=choose)
        predicted, _ = model.decoder.predict(pieces, None, add_sos=False)
        for layer, seen in ((model.joint.enc, encoded.transpose(1, 2)), (model.joint.pred, predicted)):
            flat = seen.reshape(-1, seen.shape[-1])
            weight = torch.randn(layer.weight.shape, generator=choose) * _WIDTH**-0.5
            layer.weight.copy_(weight / (flat.std(0) + 1e-4))
            layer.bias.copy_(-(layer.weight @ flat.mean(0)))
        last = model.joint.joint_net[-1]
        last.weight.copy_(torch.randn(last.weight.shape, generator=choose) * 3 * _WIDTH**-0.5)
        last.bias.zero_()
        last.bias[0] = -100.0  # the unknown piece, which no text has
        last.bias[model.decoder.blank_idx] = _SILENCE


def main(model_file: Path, audio_file: Path, heard_file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder)).save_to(str(model_file))
    model: Any = nemo_asr.models.ASRModel.restore_from(str(model_file), map_location="cpu").eval()
    model.preprocessor.featurizer.dither = 0.0
    heard: dict[str, str] = {}
    with np.load(audio_file) as audio:
        for name in audio.files:
            samples = audio[name].astype(np.float32) / 32_768
            heard[name] = model.transcribe([samples], batch_size=1, verbose=False)[0].text
    heard_file.write_text(json.dumps(heard), encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
