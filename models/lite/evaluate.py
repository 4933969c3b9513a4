"""How well the recogniser hears: `python -m models.lite.evaluate [--sounds FOLDER] [--errors]`.

Two sets, both through an 8 kHz G.711 line: lines of calls spoken by espeak-ng's voices, and people's recorded
words from Debian's package asterisk-core-sounds-en-wav (FOLDER is its `en_US_f_Allison`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from models.lite.recogniser import Recogniser
from models.lite.telephone import recording, spoken, through_telephone

VOICES = ("en-us", "en-us+m3", "en-us+f3", "en-gb")
LINES = (
    "hello i would like to book an appointment",
    "i would like to book an appointment please",
    "on monday",
    "tuesday at half past nine",
    "wednesday at two thirty",
    "at ten o'clock",
    "my name is john smith",
    "yes please",
    "no thank you goodbye",
    "what times do you have on friday",
    "can i speak to a human",
    "next thursday afternoon",
    "the third of december at three",
    "no make it friday",
    "i want to leave a message",
)

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_DAYS = "sunday monday tuesday wednesday thursday friday saturday"
_MONTHS = "january february march april may june july august september october november december"
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
RECORDED: dict[str, str] = {
    **{f"digits/{number}": word for number, word in enumerate(_NUMBERS.split())},
    **{f"digits/{number}0": word for number, word in enumerate(_TENS.split(), start=3)},
    **{f"digits/day-{number}": word for number, word in enumerate(_DAYS.split())},
    **{f"digits/mon-{number}": word for number, word in enumerate(_MONTHS.split())},
    **{f"digits/h-{number}": word for number, word in enumerate(_ORDINALS.split(), start=1)},
    "digits/h-30": "thirtieth",
    "digits/oh": "oh",
    "digits/a-m": "a m",
    "digits/p-m": "p m",
    "digits/hundred": "hundred",
    "digits/thousand": "thousand",
    "digits/million": "million",
    "digits/dollars": "dollars",
    "digits/today": "today",
    "digits/tomorrow": "tomorrow",
    "digits/yesterday": "yesterday",
    "digits/oclock": "o'clock",
    "hello": "hello",
    "goodbye": "goodbye",
    "vm-goodbye": "goodbye",
    "vm-no": "no",
    "auth-thankyou": "thank you",
    "privacy-thankyou": "thank you",
    "im-sorry": "i'm sorry",
    "sorry": "we're sorry",
    "pbx-transfer": "transfer",
    "one-moment-please": "one moment please",
    "hours": "hours",
    "minutes": "minutes",
    "vm-minutes": "minutes",
    "queue-minutes": "minutes",
    "second": "second",
    "seconds": "seconds",
    "queue-seconds": "seconds",
    "vm-first": "first",
    "vm-last": "last",
}
"""Files of the sound package and what is said in them, as far as the vocabulary goes."""
DEVELOPMENT = frozenset(sorted(RECORDED)[::2])
"""Settings were chosen by these; the other half is held out. None of them was learned from."""


@dataclass(frozen=True)
class Sample:
    """Audio (16-bit 16 kHz mono) and the words in it."""

    pcm: bytes
    text: str
    source: str


@dataclass(frozen=True)
class Score:
    errors: int
    words: int
    samples: int
    wrong: tuple[tuple[str, str, str], ...]
    """Source, what was said, what was heard."""

    @property
    def rate(self) -> float:
        return self.errors / max(1, self.words)


def spoken_lines(voices: Iterable[str] = VOICES, lines: Iterable[str] = LINES) -> Iterator[Sample]:
    """The lines in espeak-ng's voices."""
    for line in lines:
        for voice in voices:
            yield Sample(through_telephone(*spoken(line, voice)), line, voice)


def recorded_words(folder: Path) -> Iterator[Sample]:
    """People's words from the files of the sound package."""
    for name, word in RECORDED.items():
        yield Sample(through_telephone(*recording(folder / f"{name}.wav")), word, name)


def word_errors(said: str, heard: str) -> int:
    """Words inserted, left out or replaced."""
    wanted, got = said.split(), heard.replace("good bye", "goodbye").split()
    row = list(range(len(got) + 1))
    for count, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], count
        for position, other in enumerate(got, start=1):
            diagonal, row[position] = (
                row[position],
                min(row[position] + 1, row[position - 1] + 1, diagonal + (word != other)),
            )
    return row[-1]


def score(samples: Iterable[Sample], recogniser: Recogniser) -> Score:
    """Counts the errors of one recogniser over all samples."""
    errors = words = count = 0
    wrong: list[tuple[str, str, str]] = []
    for sample in samples:
        count += 1
        recogniser.push(sample.pcm)
        heard = str(recogniser.flush()["text"])
        found = word_errors(sample.text, heard)
        errors, words = errors + found, words + len(sample.text.split())
        if found:
            wrong.append((sample.source, sample.text, heard))
    return Score(errors, words, count, tuple(wrong))


def main() -> None:
    """Prints the word error rates."""
    parser = argparse.ArgumentParser(description="Word error rate of the lite recogniser on telephone audio.")
    parser.add_argument("--sounds", type=Path, help="en_US_f_Allison of asterisk-core-sounds-en-wav")
    parser.add_argument("--errors", action="store_true", help="print each error")
    chosen = parser.parse_args()
    sets: dict[str, Iterable[Sample]] = {"espeak-ng": spoken_lines()}
    if chosen.sounds:
        words = list(recorded_words(chosen.sounds))
        sets["recorded, development"] = [word for word in words if word.source in DEVELOPMENT]
        sets["recorded, held out"] = [word for word in words if word.source not in DEVELOPMENT]
    recogniser = Recogniser("en")
    for name, samples in sets.items():
        result = score(samples, recogniser)
        print(
            f"{name}: {100 * result.rate:.1f} % of {result.words} words wrong, "
            f"{len(result.wrong)} of {result.samples} recordings"
        )
        if chosen.errors:
            for source, said, heard in result.wrong:
                print(f"  {source}: {said!r} heard as {heard!r}")


if __name__ == "__main__":
    main()
