"""The tiny recogniser's network: NeMo's cache-aware streaming FastConformer, hybrid of RNNT and CTC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nemo.collections.asr as nemo_asr
import sentencepiece
import torch
from omegaconf import OmegaConf
from torch import nn

WIDTH = 96
LAYERS = 5
MELS = 40


def _config(tokenizer: Path) -> Any:
    greedy = {"strategy": "greedy_batch", "greedy": {"max_symbols": 5}}
    return OmegaConf.create(
        {
            "sample_rate": 16_000,
            "compute_eval_loss": False,
            "log_prediction": False,
            "rnnt_reduction": "mean_batch",
            "skip_nan_grad": False,
            "model_defaults": {"enc_hidden": WIDTH, "pred_hidden": WIDTH, "joint_hidden": 128},
            "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
            "preprocessor": {
                "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
                "sample_rate": 16_000,
                "normalize": "NA",
                "window_size": 0.025,
                "window_stride": 0.01,
                "window": "hann",
                "features": MELS,
                "n_fft": 512,
                "dither": 0.0,
                "pad_to": 0,
            },
            "encoder": {
                "_target_": "nemo.collections.asr.modules.ConformerEncoder",
                "feat_in": MELS,
                "feat_out": -1,
                "n_layers": LAYERS,
                "d_model": WIDTH,
                "subsampling": "dw_striding",
                "subsampling_factor": 8,
                "subsampling_conv_channels": 48,
                "causal_downsampling": True,
                "ff_expansion_factor": 4,
                "self_attention_model": "rel_pos",
                "n_heads": 4,
                "att_context_size": [[42, 1], [42, 6]],
                "att_context_style": "chunked_limited",
                "att_context_probs": [0.75, 0.25],
                "xscaling": False,
                "untie_biases": True,
                "pos_emb_max_len": 2_000,
                "conv_kernel_size": 9,
                "conv_norm_type": "layer_norm",
                "conv_context_size": "causal",
                "dropout": 0.05,
                "dropout_pre_encoder": 0.05,
                "dropout_emb": 0.0,
                "dropout_att": 0.05,
            },
            "decoder": {
                "_target_": "nemo.collections.asr.modules.RNNTDecoder",
                "normalization_mode": None,
                "random_state_sampling": False,
                "blank_as_pad": True,
                "prednet": {"pred_hidden": WIDTH, "pred_rnn_layers": 1, "t_max": None, "dropout": 0.1},
            },
            "joint": {
                "_target_": "nemo.collections.asr.modules.RNNTJoint",
                "log_softmax": None,
                "preserve_memory": False,
                "fuse_loss_wer": False,
                "fused_batch_size": 4,
                "jointnet": {"joint_hidden": 128, "activation": "relu", "dropout": 0.1},
            },
            "decoding": greedy,
            "aux_ctc": {
                "ctc_loss_weight": 0.3,
                "use_cer": False,
                "ctc_reduction": "mean_batch",
                "decoder": {
                    "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
                    "feat_in": WIDTH,
                    "num_classes": -1,
                    "vocabulary": [],
                },
                "decoding": {"strategy": "greedy"},
            },
            "loss": {"loss_name": "default"},
        }
    )


def build(words: list[str], folder: Path) -> Any:
    """An untrained model whose tokens are the words; `folder` keeps its tokenizer until it is saved."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "words.txt"
    text.write_text("\n".join(word for word in words for _ in range(20)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        model_type="word",
        vocab_size=len(words) + 1,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    lines = (folder / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    pieces = [line.split("\t")[0] for line in lines]
    (folder / "vocab.txt").write_text("\n".join(pieces[1:]), encoding="utf-8")
    return nemo_asr.models.EncDecHybridRNNTCTCBPEModel(cfg=_config(folder))


class CentredConvolution:
    """Trains the first convolution as if its input were centred: raw log-mel lies around -10, and a step on
    the weights would move every output by ten times as much. The padding stays raw zeros, so `fold` gives
    an ordinary convolution that computes the same."""

    def __init__(self, convolution: nn.Conv2d, mean: float, deviation: float) -> None:
        self._convolution = convolution
        self._mean, self._deviation = mean, deviation
        self.weight = nn.Parameter(convolution.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(convolution.out_channels))
        convolution.register_forward_pre_hook(lambda *_: self.fold())
        convolution.weight.requires_grad_(False)
        assert convolution.bias is not None
        convolution.bias.requires_grad_(False)

    def fold(self) -> None:
        """Gives the convolution the weights for raw input; the gradient flows back through them."""
        self._convolution.__dict__["weight"] = self.weight / self._deviation
        total = self.weight.sum((1, 2, 3))
        self._convolution.__dict__["bias"] = self.bias - total * self._mean / self._deviation

    def finish(self) -> None:
        """Makes the folded weights the convolution's own; training is over."""
        with torch.no_grad():
            own = self._convolution
            own.__dict__.pop("weight", None)
            own.__dict__.pop("bias", None)
            own._parameters["weight"].copy_(self.weight / self._deviation)  # type: ignore[union-attr]
            total = self.weight.sum((1, 2, 3))
            own._parameters["bias"].copy_(self.bias - total * self._mean / self._deviation)  # type: ignore[union-attr]


def scale_by_data(model: Any, features: torch.Tensor, lengths: torch.Tensor) -> None:
    """Makes each layer of the subsampling give outputs of mean 0 and deviation 1 for this batch."""
    subsampling = model.encoder.pre_encode
    layers = [layer for layer in subsampling.conv if isinstance(layer, nn.Conv2d)]
    centred = model.centred_convolution

    def once(layer: nn.Module, weight: nn.Parameter, bias: nn.Parameter, axes: tuple[int, ...]) -> None:
        seen: list[torch.Tensor] = []
        hook = layer.register_forward_hook(lambda _m, _i, output: seen.append(output.detach()))
        with torch.no_grad():
            model.encoder(audio_signal=features, length=lengths)
            hook.remove()
            deviation = seen[0].std(axes) + 1e-4
            weight /= deviation.reshape(-1, *[1] * (weight.dim() - 1))
            bias.copy_((bias - seen[0].mean(axes)) / deviation)

    once(layers[0], centred.weight, centred.bias, (0, 2, 3))
    for layer in layers[1:]:
        assert layer.bias is not None
        once(layer, layer.weight, layer.bias, (0, 2, 3))
    once(subsampling.out, subsampling.out.weight, subsampling.out.bias, (0, 1))
