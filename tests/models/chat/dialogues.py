"""The receptionist's calls that the tiny chat model holds: a fixed set, told as messages in OpenAI's form.

Pure. The caller's words are those of the demo's caller; what a recogniser makes of them (a word lost, a word
too many) is part of the set, so that a misheard filler does not end the call. A day, a time or a name that is
none of the set is asked for again, so that nothing else is booked in its stead.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "tomorrow")
TIMES = tuple(
    f"{hour} o'clock" for hour in ("nine", "ten", "eleven", "twelve", "one", "two", "three", "four")
)
NAMES = ("Mary Miller", "Peter Brown", "Tom Hill", "Emma Baker", "Anna Taylor", "Sarah Green")
GREETING = "Riverside Dental Practice, this is the digital assistant. How can I help you?"
CONSENT = "This call is recorded."

ASK_DAY = "Which day would you like?"
ASK_TIME = "Which time would you like?"
ASK_NAME = "What is your name, please?"
ASK_CHANGE = "What should I change, the day, the time or the name?"
CONFIRM = "{day} at {time}, for {name}. Is that right?"
BOOKED = "You are booked. Can I do anything else for you?"
FULL_DAY = "I am sorry, that day is fully booked. Which day would you like?"
TAKEN = "I am sorry, that time is not free. Which time would you like?"
NO_TOOL = "I am sorry, that did not work. Can I do anything else for you?"
HELP = "How can I help you?"
SORRY = "I am sorry, I did not understand."
GOODBYE = "Thank you for calling. Goodbye."
ANYTHING_ELSE = "Can I do anything else for you?"

OPENINGS = (
    "i would like to book an appointment please",
    "i would like to book an appointment",
    "i would like an appointment please",
    "book an appointment please",
    "appointment",
)
ENDINGS = (
    "no thank you goodbye",
    "no thank you",
    "goodbye",
    "good bye",
    "no thanks goodbye",
    "thank you goodbye",
)
YES = ("yes please", "yes", "yes that is right", "yes it is")
NO = ("no", "no it is not", "no please")
FIRST_NAMES = tuple(name.split()[0].lower() for name in NAMES)
LAST_NAMES = tuple(name.split()[1].lower() for name in NAMES)
ODD_DAYS = ("on saturday", "on sunday", "saturday", "sunday please", "today", "in the morning", "next week")
ODD_HOURS = ("five", "six", "seven", "eight")
MINUTES = ("fifteen", "thirty", "forty five")
ODD_NAMES = ("john smith", "alan jones", "lisa white")
FILLERS = ("the", "a", "to", "please", "i", "is", "it", "and", "on", "at", "my", "for", "would", "like", "uh")

Message = dict[str, Any]


@dataclass
class Call:
    """One call as it grows. `heard` changes the caller's words as a recogniser might."""

    rng: random.Random
    noise: float
    messages: list[Message] = field(default_factory=list[Message])
    _calls: int = 0

    def caller(self, text: str, keep: str = "") -> None:
        words = text.split()
        kept = set(keep.split())
        while self.rng.random() < self.noise:
            place = self.rng.randrange(len(words) + 1)
            removable = [at for at, word in enumerate(words) if word not in kept]
            if self.rng.random() < 0.6 and removable and len(words) > 1:
                del words[self.rng.choice(removable)]
            else:
                words.insert(place, self.rng.choice(FILLERS))
        self.messages.append({"role": "user", "content": " ".join(words)})

    def agent(self, text: str = "", tool: str = "", arguments: dict[str, Any] | None = None) -> None:
        message: Message = {"role": "assistant", "content": text}
        if tool:
            self._calls += 1
            function = {"name": tool, "arguments": json.dumps(arguments or {})}
            call = {"id": f"call_{self._calls}", "type": "function", "function": function}
            message["tool_calls"] = [call]
        self.messages.append(message)

    def tool_answers(self, *, ok: bool) -> None:
        content = json.dumps({"ok": ok}, separators=(",", ":"))
        self.messages.append({"role": "tool", "tool_call_id": f"call_{self._calls}", "content": content})


@dataclass
class Booking:
    """What is collected in a call."""

    day: str
    time: str
    name: str


def booking_call(rng: random.Random, noise: float = 0.0) -> list[Message]:
    """One call from the greeting to the goodbye; without noise and detours it is the demo's."""
    call = Call(rng, noise)
    detour = noise > 0
    wanted = Booking(rng.choice(DAYS), rng.choice(TIMES), rng.choice(NAMES))
    call.agent(rng.choice((f"{CONSENT} {GREETING}", GREETING)) if detour else f"{CONSENT} {GREETING}")
    if detour and rng.random() < 0.06:
        call.caller(rng.choice(FILLERS))
        call.agent(f"{SORRY} {HELP}")
    if detour and rng.random() < 0.05:
        return _goodbye(call, rng)
    call.caller(rng.choice(OPENINGS) if detour else OPENINGS[0], "appointment book")
    call.agent(ASK_DAY)
    _day(call, wanted, detour)
    _time(call, wanted, detour)
    _name(call, wanted, detour)
    while detour and rng.random() < 0.25:
        call.caller(rng.choice(NO), "no")
        call.agent(ASK_CHANGE)
        _change(call, wanted)
    for _ in range(3):
        call.caller(rng.choice(YES) if detour else YES[0], "yes")
        arguments = {"date": wanted.day, "time": wanted.time, "name": wanted.name}
        call.agent(tool="create_booking", arguments=arguments)
        if not (detour and rng.random() < 0.08):
            call.tool_answers(ok=True)
            call.agent(BOOKED)
            break
        call.tool_answers(ok=False)
        call.agent(TAKEN)
        wanted.time = rng.choice(TIMES)
        call.caller(_said_time(rng, wanted.time), wanted.time)
        call.agent(_confirmation(wanted))
    return _goodbye(call, rng)


def _goodbye(call: Call, rng: random.Random) -> list[Message]:
    plain = not call.noise
    call.caller(ENDINGS[0] if plain else rng.choice(ENDINGS), "goodbye bye no thank thanks")
    call.agent(GOODBYE, "end_call", {})
    return call.messages


def _confirmation(wanted: Booking) -> str:
    return CONFIRM.format(day=wanted.day.capitalize(), time=wanted.time, name=wanted.name)


def _said_day(rng: random.Random, day: str) -> str:
    return rng.choice((f"on {day}", f"on {day}", day, f"{day} please"))


def _said_time(rng: random.Random, time: str) -> str:
    hour = time.split()[0]
    return rng.choice((f"at {time}", f"at {time}", time, f"at {hour}", hour))


def _said_name(rng: random.Random, name: str) -> str:
    return rng.choice((f"my name is {name.lower()}", f"my name is {name.lower()}", name.lower()))


def _odd_day(rng: random.Random) -> str:
    return rng.choice(ODD_DAYS)


def _odd_time(rng: random.Random) -> str:
    """A time that is none of the set: another hour, or one with minutes."""
    hour = rng.choice(TIMES).split()[0]
    other = rng.choice(ODD_HOURS)
    clock = rng.choice(
        (
            f"{other} o'clock",
            other,
            f"{hour} {rng.choice(MINUTES)}",
            f"{other} {rng.choice(MINUTES)}",
            f"half past {rng.choice((hour, other))}",
        )
    )
    return rng.choice((f"at {clock}", clock, f"at {clock}", "in the afternoon"))


def _odd_name(rng: random.Random) -> str:
    """Half of a name, a name of halves that do not belong together, or one that nobody has."""
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    mixed = f"{first} {last}"
    if mixed.title() in NAMES:
        mixed = first
    name = rng.choice((first, last, mixed, mixed, mixed, rng.choice(ODD_NAMES)))
    return rng.choice((f"my name is {name}", name, f"it is {name}"))


def _unclear(call: Call, question: str, detour: bool, odd: Callable[[random.Random], str]) -> None:
    """What is none of the set is not taken for something that is: the caller is asked again."""
    while detour and call.rng.random() < 0.2:
        said = call.rng.choice(FILLERS) if call.rng.random() < 0.15 else odd(call.rng)
        call.caller(said, said)
        call.agent(f"{SORRY} {question}")


def _day(call: Call, wanted: Booking, detour: bool) -> None:
    rng = call.rng
    _unclear(call, ASK_DAY, detour, _odd_day)
    while True:
        call.caller(_said_day(rng, wanted.day) if detour else f"on {wanted.day}", wanted.day)
        call.agent(tool="check_availability", arguments={"date": wanted.day})
        if not (detour and rng.random() < 0.08):
            call.tool_answers(ok=True)
            call.agent(ASK_TIME)
            return
        call.tool_answers(ok=False)
        call.agent(FULL_DAY)
        wanted.day = rng.choice(DAYS)


def _time(call: Call, wanted: Booking, detour: bool) -> None:
    _unclear(call, ASK_TIME, detour, _odd_time)
    hour = wanted.time.split()[0]
    call.caller(_said_time(call.rng, wanted.time) if detour else f"at {wanted.time}", hour)
    call.agent(ASK_NAME)


def _name(call: Call, wanted: Booking, detour: bool) -> None:
    _unclear(call, ASK_NAME, detour, _odd_name)
    said = _said_name(call.rng, wanted.name)
    call.caller(said if detour else f"my name is {wanted.name.lower()}", wanted.name.lower())
    call.agent(_confirmation(wanted))


def _change(call: Call, wanted: Booking) -> None:
    rng = call.rng
    what = rng.choice(("day", "time", "name"))
    if what == "day":
        wanted.day = rng.choice(DAYS)
        call.caller(_said_day(rng, wanted.day), wanted.day)
    elif what == "time":
        wanted.time = rng.choice(TIMES)
        call.caller(_said_time(rng, wanted.time), wanted.time.split()[0])
    else:
        wanted.name = rng.choice(NAMES)
        call.caller(_said_name(rng, wanted.name), wanted.name.lower())
    call.agent(_confirmation(wanted))


def fixed_set() -> Iterator[list[Message]]:
    """The calls that the model must hold word for word: every day with every time, the names in turn."""
    turn = 0
    for day in DAYS:
        for time in TIMES:
            call = Call(random.Random(turn), 0.0)
            wanted = Booking(day, time, NAMES[turn % len(NAMES)])
            call.agent(f"{CONSENT} {GREETING}")
            call.caller(OPENINGS[0])
            call.agent(ASK_DAY)
            _day(call, wanted, detour=False)
            _time(call, wanted, detour=False)
            _name(call, wanted, detour=False)
            call.caller(YES[0])
            arguments = {"date": wanted.day, "time": wanted.time, "name": wanted.name}
            call.agent(tool="create_booking", arguments=arguments)
            call.tool_answers(ok=True)
            call.agent(BOOKED)
            yield _goodbye(call, random.Random(turn))
            turn += 1
