"""Takes secrets, telephone numbers and e-mail addresses out of what leaves the box in a support bundle.

Secrets go by their value (every secret file that the settings name, and those beside it), by the name before
them, and by their shape. A value is looked for as it is and as it is written in a URL, in JSON, in base64 and
in hexadecimal digits.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

SECRET, MAIL, NUMBER = "[secret]", "[e-mail address]", "[number]"
SHORTEST = 4
"""Characters; what is shorter cannot be told from other text."""
_SHORTEST_KEY = 16
"""Characters; a shorter value of a setting such as `access_key` is a name."""
_LARGEST_FILE = 64 * 1024
_MOST_FILES = 200
_PIECE = 64 * 1024
"""Characters: other threads of a process wait while one pattern goes over one text."""

_NAME = r"(?:passw(?:or)?d|secret|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|cookie)"
_BETWEEN = r"""[\w.-]{0,40}(?:\\{0,3}["'])?\s{0,3}[=:]\s{0,3}"""
_VALUE = r"""(?:\[secret\]|(?P<quote>\\{1,3}")[^"\n]*"|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'][^\s"']*)"""
_BLOCK = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END[^\n]*|\Z)", re.DOTALL)
_SHAPES: tuple[re.Pattern[str], ...] = (
    re.compile(r"^[A-Za-z0-9+/]{40,}={0,2}$", re.MULTILINE),
    re.compile(r"(?<=://)[^\s\"'<>]{1,500}(?=@)"),
    re.compile(r"(?i)(?P<name>authorization[\"']?\s{0,3}[:=]\s{0,3})(?:\"(?:[^\"\\\n]|\\.)*\"|[^\n]*)"),
    re.compile(r"(?i)\b(?P<name>(?:bearer|basic)\s{1,3})[\w.~+/=-]{8,}"),
    re.compile(r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*){0,3}"),
    re.compile(r"\btl_[a-z0-9]{12}_[A-Za-z0-9-]{32,64}"),
    re.compile(r"\bwhsec_[\w+/=-]{8,}"),
    re.compile(rf"(?i)(?P<name>{_NAME}{_BETWEEN}){_VALUE}"),
    # A bare number after `token` is a count or a time.
    re.compile(rf"(?i)(?P<name>token{_BETWEEN})(?!\d+(?:\.\d+)?(?![\w.-])){_VALUE}"),
)
"""What is found goes, but for the `name` before it."""
_PERSONAL = re.compile(
    r"""
    (?P<mail>(?<![\w.+%-])[\w.+%-]{1,200}@[\w-]{1,63}(?:\.[\w-]{1,63})+)
    | (?P<kept>
        (?<![^\W_])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![^\W_])
        | (?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?!\d)
        | (?<!\d)\d\d:\d\d:\d\d(?:[.,]\d+)?(?!\d)
        | (?<![\d.+])(?:\d{1,3}\.){3}\d{1,3}(?:/\d\d?)?(?![.\d])
        | (?<![\d.+])(?:1[5-9]\d{8}|\d{1,6})\.\d+(?![.\d])
      )
    | (?P<number>(?:\+|(?<![^\W_]))\d(?:[ ()/.-]{0,2}\d){6,}(?![^\W_]) | \+\d{5,})
    """,
    re.VERBOSE,
)
"""`kept` is what has many digits and is nobody's number: identifiers, times, addresses of machines."""


class Redactor:
    """Knows the secrets of one box. `secrets` are their values; a value of several lines is several."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def without_secrets(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, SECRET)
        return _by_pieces(_BLOCK.sub(SECRET, text), _without_shapes)

    def document(self, value: Any) -> Any:
        """A copy of JSON-able content; it stays JSON."""
        if isinstance(value, Mapping):
            return {self.without_secrets(str(key)): self.document(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(each) for each in value]
        return self.without_secrets(value) if isinstance(value, str) else value

    def of_log(self, text: str) -> str:
        """Also without what looks like a telephone number or an e-mail address."""
        return _by_pieces(self.without_secrets(text), lambda piece: _PERSONAL.sub(_mask, piece))

    def tree(self, value: Any, *, name: str = "") -> Any:
        """Settings: a value whose name speaks of a secret is replaced, whatever it is; a secret's file is
        told with its state and never with its content."""
        if isinstance(value, Mapping):
            if set(value) == {"file"} and isinstance(value["file"], str):
                return {"file": value["file"], "state": _state(Path(value["file"]))}
            return {self.of_log(str(key)): self.tree(each, name=str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(each, name=name) for each in value]
        if value is not None and _speaks_of_a_secret(name) and not isinstance(value, bool):
            return SECRET
        return self.of_log(value) if isinstance(value, str) else value


def secret_values(tree: Any, *, folders: Iterable[Path] = ()) -> tuple[set[str], dict[str, str]]:
    """The secrets that settings name, by file and in plain, and those in the files beside them,
    in a folder that is called `secrets`, and in `folders`.

    Returns the values, and the files that are there and could not be read, with the reason.
    """
    values = set(_plain(tree))
    files = {Path(name) for name in _files(tree)}
    for folder in {*folders, *(file.parent for file in files if file.parent.name == "secrets")}:
        try:
            files.update([each for each in sorted(folder.iterdir()) if each.is_file()][:_MOST_FILES])
        except OSError:
            continue
    unread: dict[str, str] = {}
    for file in sorted(files):
        try:
            with file.open("rb") as opened:
                values.add(opened.read(_LARGEST_FILE).decode("utf-8", "replace"))
        except FileNotFoundError:
            continue
        except OSError as error:
            unread[str(file)] = error.strerror or type(error).__name__
    return values, unread


def _files(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if set(tree) == {"file"} and isinstance(tree["file"], str):
            yield tree["file"]
        for each in tree.values():
            yield from _files(each)


def _plain(tree: Any, name: str = "") -> Iterator[str]:
    """Values that stand in the settings themselves: by their name, and the user part of addresses."""
    if isinstance(tree, Mapping):
        for key, each in tree.items():
            yield from _plain(each, str(key))
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from _plain(each, name)
    elif isinstance(tree, str):
        words = re.search(r"(?i)passw|secret|token", name)
        if words or ("key" in name.lower() and len(tree) >= _SHORTEST_KEY):
            yield tree
        yield from re.findall(r"://[^\s/@:]*:(\S+)@", tree)


def _forms(secret: str) -> Iterator[str]:
    """Each line of it, and the whole, as other programs write them."""
    for value in {secret.strip(), *(line.strip() for line in secret.splitlines())}:
        if len(value) < SHORTEST:
            continue
        data = value.encode()
        yield from (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1])
        yield from (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode(), data.hex())
        try:
            key = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(key) >= 2 * SHORTEST:  # the bytes that the text stands for
            yield from (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode())


def _speaks_of_a_secret(name: str) -> bool:
    timed = name.lower().endswith(("_seconds", "_minutes", "_hours", "_ms", "_bytes"))
    return (
        not timed
        and re.search(r"(?i)passw|secret|token|key|credential|cookie|authorization", name) is not None
    )


def _state(file: Path) -> str:
    try:
        seen = file.stat()
        with file.open("rb"):
            return f"there, mode {seen.st_mode & 0o777:04o}, {'empty' if not seen.st_size else 'not empty'}"
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"


def _by_pieces(text: str, clean: Callable[[str], str]) -> str:
    """Whole lines at a time."""
    cleaned: list[str] = []
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE) + 1 or len(text)
        cleaned.append(clean(text[start:end]))
        start = end
    return "".join(cleaned)


def _without_shapes(text: str) -> str:
    for pattern in _SHAPES:
        text = pattern.sub(_hide, text)
    return text


def _hide(found: re.Match[str]) -> str:
    """What is between quotes stays between them."""
    named = found.re.groupindex
    name = found["name"] if "name" in named else ""
    value = found[0][len(name) :]
    quote = (found["quote"] if "quote" in named else None) or (value[:1] if value[:1] in ("'", '"') else "")
    return f"{name}{quote}{SECRET}{quote}"


def _mask(found: re.Match[str]) -> str:
    if found["kept"] is not None:
        return found["kept"]
    return MAIL if found["mail"] is not None else NUMBER
