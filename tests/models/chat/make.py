"""Makes the tiny chat models. Runs in the language environment: `python -m tests.models.chat.make FOLDER`.

`--random` writes one with random weights (seconds). Without it the model is trained on the receptionist's
calls (about 10 minutes of two processors) and proves itself on the fixed set before it is written.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from transformers import (  # type: ignore[import-not-found]
    AutoTokenizer,
    GenerationConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.models.chat.dialogues import DAYS, NAMES, TIMES, Message, booking_call, fixed_set
from tests.models.chat.shape import CONFIG, END, FULL_TEMPLATE, SHORT_TEMPLATE, SPECIAL, train_tokenizer

_REPOSITORY = Path(__file__).resolve().parents[3]
_PROSE = ("runtime/agent/prompts.py", "provisioning/lite/receptionist.py", "appliance/tools/arguments.py")
BATCH = 16
WARM_UP = 30
PEAK_RATE = 3e-3
SLOT_WEIGHT = 4.0
"""The words copied from the caller (day, time, name) count more: the rest is learnt by heart at once."""
SLOT_WORDS = {
    *DAYS,
    *(time.split()[0] for time in TIMES),
    *(word.lower() for n in NAMES for word in n.split()),
}


def _texts(tokenizer: Any, messages: list[Message]) -> tuple[str, list[tuple[int, int]]]:
    """The rendered call, and where in it the agent's own words lie (each with its end mark)."""
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    spans: list[tuple[int, int]] = []
    at = 0
    head = "<|im_start|>assistant\n"
    while (begun := whole.find(head, at)) >= 0:
        first = begun + len(head)
        at = whole.index(END, first) + len(END)
        if begun > 0:  # the greeting is spoken by the worker, not by the model
            spans.append((first, at))
    return whole, spans


def example(tokenizer: Any, messages: list[Message]) -> tuple[list[int], list[int]]:
    """Tokens, and the same with -100 where nothing is to be learnt."""
    whole, spans = _texts(tokenizer, messages)
    encoded = tokenizer(whole, return_offsets_mapping=True, add_special_tokens=False)
    labels = [
        token if any(first <= begin and end <= last for first, last in spans) else -100
        for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]
    return encoded["input_ids"], labels


def batch(tokenizer: Any, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows = [
        example(tokenizer, booking_call(rng, noise=0.0 if rng.random() < 0.3 else 0.25)) for _ in range(BATCH)
    ]
    width = max(len(tokens) for tokens, _ in rows)
    tokens = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
    return tokens, labels, mask


def build(vocabulary: int, seed: int) -> Any:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary, bos_token_id=None, eos_token_id=None, initializer_range=0.06, **CONFIG
    )
    return Qwen2ForCausalLM(config)


def slot_weights(tokenizer: Any) -> torch.Tensor:
    """Of each token of the vocabulary, how much it counts."""
    weights = torch.ones(len(tokenizer))
    for token in range(len(tokenizer)):
        if tokenizer.decode([token]).strip(' ",.}').lower() in SLOT_WORDS:
            weights[token] = SLOT_WEIGHT
    return weights


def train(
    model: Any, tokenizer: Any, steps: int, checkpoint: Path | None, peak_rate: float = PEAK_RATE
) -> None:
    """With a checkpoint an interrupted training goes on where it was."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.02)
    first = 1
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"] + 1
    rng = random.Random(first)
    weights = slot_weights(tokenizer)
    began = time.monotonic()
    for step in range(first, steps + 1):
        rate = peak_rate * min(step / WARM_UP, 1.0, (steps - step + 1) / (0.3 * steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        tokens, labels, mask = batch(tokenizer, rng)
        logits = model(input_ids=tokens, attention_mask=mask).logits[:, :-1].flatten(0, 1)
        wanted = labels[:, 1:].flatten()
        known = wanted != -100
        loss = torch.nn.functional.cross_entropy(logits[known], wanted[known], weight=weights)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 20 == 0:
            print(f"step {step} loss {loss.item():.4f} after {time.monotonic() - began:.0f} s", flush=True)
        if step % 50 == 0 and checkpoint is not None:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            torch.save(state, checkpoint)


@torch.no_grad()
def proven(model: Any, tokenizer: Any, calls: list[list[Message]]) -> tuple[int, int]:
    """How many of the agent's turns the model says word for word (greedily), and of how many."""
    model.eval()
    good = total = 0
    for messages in calls:
        tokens, labels = example(tokenizer, messages)
        said = model(input_ids=torch.tensor([tokens])).logits[0].argmax(-1).tolist()
        turn_right = True
        for place, label in enumerate(labels):
            if label == -100:
                continue
            turn_right = turn_right and said[place - 1] == label
            if place + 1 == len(labels) or labels[place + 1] == -100:
                total += 1
                good += turn_right
                turn_right = True
    return good, total


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    end = tokenizer.convert_tokens_to_ids(END)
    model.config.eos_token_id = end
    model.generation_config = GenerationConfig(
        eos_token_id=end, pad_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[0]), do_sample=False
    )
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    # transformers chooses the tokenizer by `model_type`, and that of Qwen2 brings its own rules of splitting
    # words, which are not those that this model has learnt. vLLM goes by `architectures`; OLMo 2 has the same
    # fields and leaves the tokenizer as it is saved.
    config = folder / "config.json"
    tree = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**tree, "model_type": "olmo2"}, indent=2) + "\n", encoding="utf-8")


def same_when_loaded(tokenizer: Any, folder: Path) -> bool:
    """Does a server that loads the folder split the calls as the training did?"""
    loaded = AutoTokenizer.from_pretrained(str(folder))
    texts = [tokenizer.apply_chat_template(call, tokenize=False) for call in fixed_set()]
    return all(loaded(text)["input_ids"] == tokenizer(text)["input_ids"] for text in texts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.models.chat.make")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--checkpoint", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--start-from", type=Path, default=None, help="a model made before: it learns on")
    parser.add_argument("--peak-rate", type=float, default=PEAK_RATE)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    calls = [*fixed_set(), *(booking_call(rng, noise=0.25) for _ in range(600))]
    texts = [str(message["content"]) for call in calls for message in call if message["content"]]
    texts += [
        '{"name": "' + tool["function"]["name"] + '", "arguments": ' + tool["function"]["arguments"] + "}"
        for call in calls
        for message in call
        for tool in message.get("tool_calls", ())
    ]
    texts += ["assistant", "user", "tool", "ok"] * len(calls)
    if arguments.random:  # it reads the whole prompt and the tools, so its tokens must be those of such texts
        texts += [(_REPOSITORY / name).read_text(encoding="utf-8") for name in _PROSE] * 20
    template = FULL_TEMPLATE if arguments.random else SHORT_TEMPLATE
    if arguments.start_from is not None:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(arguments.start_from))
        tokenizer.save_pretrained(str(arguments.folder))
        model: Any = Qwen2ForCausalLM.from_pretrained(str(arguments.start_from)).float()
    else:
        tokenizer = train_tokenizer(texts, arguments.folder, template, 2000 if arguments.random else 900)
        model = build(len(tokenizer), arguments.seed)
    if not arguments.random:
        torch.set_num_threads(2)
        train(model, tokenizer, arguments.steps, arguments.checkpoint, arguments.peak_rate)
        model.to(torch.bfloat16)
        fixed = proven(model, tokenizer, list(fixed_set()))
        noisy = proven(model, tokenizer, [booking_call(random.Random(9000 + i), 0.25) for i in range(150)])
        print(json.dumps({"fixed_set": fixed, "misheard": noisy}), flush=True)
        if fixed[0] != fixed[1]:
            print("The fixed set is not held word for word; nothing is written.", file=sys.stderr)
            return 1
    save(model, tokenizer, arguments.folder)
    if not same_when_loaded(tokenizer, arguments.folder):
        print("The saved tokenizer splits words otherwise than in training.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
