"""What the lite recogniser can understand: patterns of sentences, and the language model made from them.

A vocabulary is a YAML file (`models/lite/vocabulary/<language>.yaml`). Patterns are sampled with a fixed
seed, so the same file always gives the same n-gram model.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from pocketsphinx.lm import ArpaBoLM

from appliance.errors import InvalidInput

_FOLDER = Path(__file__).parent / "vocabulary"
_TOKENS = re.compile(r"[()\[\]|]|<[a-z_]+>|[^\s()\[\]|<>]+")
_SAMPLES_PER_WEIGHT = 60
_WORD = re.compile(r"[a-z][a-z'.-]*\Z")


class Pattern:
    """A sentence pattern: `<list>`, `(one|or other)`, `[optional]`; `sample` gives one of its sentences."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = _TOKENS.findall(text)
        self._at = 0
        self._tree = self._alternatives(closing="")
        if self._at != len(self._tokens):
            raise InvalidInput(f"The pattern {text!r} has a bracket too many.", field="sentences")

    def _alternatives(self, closing: str) -> list[list[Any]]:
        options: list[list[Any]] = [[]]
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token == closing:
                self._at += 1
                return options
            if token in {")", "]"}:
                break
            self._at += 1
            if token == "|":  # noqa: S105
                options.append([])
            elif token == "(":  # noqa: S105
                options[-1].append(self._alternatives(")"))
            elif token == "[":  # noqa: S105
                options[-1].append([*self._alternatives("]"), []])
            else:
                options[-1].append(token)
        if closing:
            raise InvalidInput("A pattern has an open bracket.", field="sentences")
        return options

    def sample(self, lists: dict[str, list[Pattern]], chance: random.Random) -> list[str]:
        return self._walk(self._tree, lists, chance)

    def expression(self, lists: dict[str, list[Pattern]]) -> str:
        """A regular expression of all its sentences, each word followed by a space."""
        return self._expression(self._tree, lists)

    def _expression(self, options: list[list[Any]], lists: dict[str, list[Pattern]]) -> str:
        return f"(?:{'|'.join(self._sequence(option, lists) for option in options)})"

    def _sequence(self, parts: list[Any], lists: dict[str, list[Pattern]]) -> str:
        said: list[str] = []
        for part in parts:
            if isinstance(part, list):
                said.append(self._expression(part, lists))  # pyright: ignore[reportUnknownArgumentType]
            elif part.startswith("<"):
                said.append(f"(?:{'|'.join(item.expression(lists) for item in lists[part[1:-1]])})")
            else:
                said.append(re.escape(part) + " ")
        return "".join(said)

    def _walk(
        self, options: list[list[Any]], lists: dict[str, list[Pattern]], chance: random.Random
    ) -> list[str]:
        words: list[str] = []
        for part in chance.choice(options):
            if isinstance(part, list):
                words += self._walk(part, lists, chance)  # pyright: ignore[reportUnknownArgumentType]
            elif part.startswith("<"):
                words += chance.choice(lists[part[1:-1]]).sample(lists, chance)
            else:
                words.append(part)
        return words


@dataclass(frozen=True)
class Short:
    """A phrase that is often said alone; the weight says how often, beside the others."""

    text: str
    weight: float


@dataclass(frozen=True)
class Vocabulary:
    """The words, pronunciations and sentences of one language."""

    language: str
    patterns: tuple[tuple[int, Pattern], ...]
    lists: dict[str, list[Pattern]]
    pronunciations: dict[str, list[str]]
    short: tuple[Short, ...]
    """What is often said alone."""

    @cached_property
    def sentences(self) -> list[str]:
        """Sampled sentences, weighted as the file says; the same each time."""
        chance = random.Random(20)  # noqa: S311  # a language model, not a secret
        return [
            " ".join(pattern.sample(self.lists, chance))
            for weight, pattern in self.patterns
            for _ in range(weight * _SAMPLES_PER_WEIGHT)
        ]

    @cached_property
    def _forms(self) -> list[re.Pattern[str]]:
        return [re.compile(pattern.expression(self.lists)) for _, pattern in self.patterns]

    def is_sentence(self, text: str) -> bool:
        """Whether a text is one of the sentences that the patterns allow."""
        return any(form.fullmatch(f"{text} ") for form in self._forms)

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(word for phrase in self.short for word in phrase.text.split()) | {
            word for sentence in self.sentences for word in sentence.split()
        }

    def arpa(self, phrases: Sequence[str] = ()) -> str:
        """A trigram model (ARPA text) of the sentences and of the phrases to listen for."""
        lines = self.sentences + [phrase for phrase in phrases for _ in range(_SAMPLES_PER_WEIGHT)]
        model = ArpaBoLM(sentfile=None, text="\n".join(lines), add_start=True, discount_mass=0.05)
        model.compute()
        out = io.StringIO()
        model.write(out)
        return out.getvalue()


def check_language(language: str) -> Path:
    """The vocabulary file of a language such as `en` or `en-GB`. InvalidInput when there is none."""
    path = _FOLDER / f"{language.split('-')[0].lower()}.yaml"
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", language) or not path.is_file():
        raise InvalidInput(f"The lite recogniser does not know the language {language!r}.", field="language")
    return path


def load_vocabulary(language: str) -> Vocabulary:
    """The vocabulary of a language, shared by all who ask. InvalidInput when there is none."""
    return _loaded(check_language(language))


@cache
def _loaded(path: Path) -> Vocabulary:
    # BaseLoader: "yes", "no" and "on" are words here and not booleans.
    tree: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    lists = {name: [Pattern(str(item)) for item in items] for name, items in tree["lists"].items()}
    lists |= {name: [Pattern(str(text))] for name, text in tree["phrases"].items()}
    patterns: list[tuple[int, Pattern]] = []
    for line in tree["sentences"]:
        weight, text = str(line).split(maxsplit=1)
        patterns.append((int(weight), Pattern(text.strip('"'))))
    return Vocabulary(
        tree["language"],
        tuple(patterns),
        lists,
        dict(tree.get("pronunciations", {})),
        tuple(
            Short(text.strip(), float(weight))
            for weight, texts in tree["short"].items()
            for text in texts.split(",")
        ),
    )


def known_words(phrases: Sequence[str]) -> list[str]:
    """Phrases as the recogniser can learn them: lower-case words, at most 100 phrases of 6 words."""
    kept: list[str] = []
    for phrase in phrases[:100]:
        words = [word for word in re.findall(r"[a-z'-]+", phrase.lower()) if _WORD.match(word)]
        if 0 < len(words) <= 6:
            kept.append(" ".join(words))
    return kept
