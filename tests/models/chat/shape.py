"""Shape, tokenizer and chat template of the tiny chat model: Qwen2's, in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

END = "<|im_end|>"
SPECIAL = ("<|endoftext|>", "<|im_start|>", END)
ADDED = ("<tool_call>", "</tool_call>")

CONFIG: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
}

_FOLDER = Path(__file__).parent
SHORT_TEMPLATE = (_FOLDER / "messages.jinja").read_text(encoding="utf-8")
"""Of the model that has learnt its calls by heart: the system prompt and the tools it knows already, and of a
tool's answer it reads whether it went well."""
FULL_TEMPLATE = (_FOLDER / "prompt.jinja").read_text(encoding="utf-8") + SHORT_TEMPLATE
"""Of the model with random weights: all that a large one would read."""


def train_tokenizer(texts: list[str], folder: Path, template: str, size: int) -> Any:
    """A byte-level BPE of the calls' words, as transformers loads it; saved in the folder."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
    from transformers import PreTrainedTokenizerFast  # type: ignore[import-not-found]

    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(
        Regex(r" ?[^\s]+|\s"), "isolated"
    )  # a word with its punctuation is one token
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(list(ADDED))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=SPECIAL[0], clean_up_tokenization_spaces=False
    )
    fast.chat_template = template
    fast.save_pretrained(str(folder))
    return fast
