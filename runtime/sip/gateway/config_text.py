"""Text in the syntax of Asterisk's configuration files, built so that no value can become syntax.

Asterisk reads a file line by line: `;` begins a comment unless a backslash stands before it, blanks around a
value are dropped, and there is no way to write a newline (`main/config.c`). So a semicolon is escaped, and a
value that cannot be written as it is meant is refused. In a dialplan commas, brackets, quotes and `$` have
meanings too: what goes there passes `dialplan_word`.
"""

from __future__ import annotations

import re

from appliance.errors import InvalidInput

MAX_VALUE_LENGTH = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_KEY = re.compile(r"[a-z0-9_]+")
_DIALPLAN_WORD = re.compile(r"[A-Za-z0-9+*#@:._=;-]+")


def config_value(value: str, *, field: str) -> str:
    """The value as it is written behind `key = `. InvalidInput when it could not be read back unchanged."""
    if not value or value != value.strip() or not value.isprintable():
        raise InvalidInput(
            f"{field} must not be empty, begin or end with a blank, or hold control characters.", field=field
        )
    if len(value.encode()) > MAX_VALUE_LENGTH:
        raise InvalidInput(f"{field} is longer than {MAX_VALUE_LENGTH} bytes.", field=field)
    return value.replace(";", "\\;")


def section_name(name: str, *, field: str) -> str:
    """The name of a section, an extension or an account: letters, digits, `_.+-`. InvalidInput otherwise."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{field} may only hold letters, digits and _ . + -", field=field)
    return name


def dialplan_word(value: str, *, field: str) -> str:
    """A value inside a dialplan line: only characters without a meaning there. InvalidInput otherwise."""
    if not _DIALPLAN_WORD.fullmatch(value) or len(value) > MAX_VALUE_LENGTH:
        raise InvalidInput(
            f"{field} holds characters that a telephone number or SIP address has not.", field=field
        )
    return value.replace(";", "\\;")


class ConfigText:
    """A configuration file in the making: sections with settings, in the order in which they are added."""

    def __init__(self, heading: str) -> None:
        self._lines = [f"; {heading}"]

    def section(self, name: str) -> None:
        """Begins a section; what follows belongs to it."""
        self._lines += ["", f"[{section_name(name, field='section')}]"]

    def put(self, key: str, value: str | int) -> None:
        """Adds `key = value` to the section that was begun last."""
        if not _KEY.fullmatch(key):
            raise InvalidInput(f"{key!r} is not the name of a setting.", field=key)
        self._lines.append(f"{key} = {config_value(str(value), field=key)}")

    def put_all(self, **settings: str | int) -> None:
        for key, value in settings.items():
            self.put(key, value)

    def line(self, text: str) -> None:
        """Adds a line that the caller has built from checked words."""
        if not text.isprintable():
            raise InvalidInput("A line of the dialplan must be one line.", field="line")
        self._lines.append(text)

    def extend(self, other: ConfigText) -> None:
        """Adds the sections of the other one, without its heading."""
        self._lines += other._lines[1:]

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
