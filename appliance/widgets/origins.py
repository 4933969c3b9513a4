"""Which web sites may carry a widget: exact origins, and all names below a domain where that is declared.

An origin is what a browser says in `Origin` (RFC 6454): scheme, host, and a port that is not the usual one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<any>\*\.)?(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::(?P<port>\d{1,5}))?"
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_USUAL_PORT = {"http": "80", "https": "443"}
MAX_LENGTH = 300


def checked_origin(text: str) -> str:
    """The origin as browsers write it. ValueError with a sentence for what is none.

    `https://*.example.com` stands for every name below `example.com`, at any depth, and not for itself.
    """
    plain = text.strip().lower().removesuffix("/")
    scheme, separator, rest = plain.partition("://")
    try:
        plain = f"{scheme}{separator}{rest.encode('idna').decode()}" if not rest.isascii() else plain
    except UnicodeError as error:
        raise ValueError(f"{text.strip()[:100]} is no name of a host.") from error
    found = _SHAPE.fullmatch(plain) if len(plain) <= MAX_LENGTH else None
    if found is None:
        raise ValueError(
            f"{text.strip()[:100]} is no origin: write scheme and host, such as https://www.example.com."
        )
    host, port = found["host"], found["port"]
    numeric = host.startswith("[") or host.replace(".", "").isdigit()
    if not host.startswith("[") and not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError(f"{host[:100]} is no name of a host.")
    if found["any"] and (numeric or "." not in host):
        raise ValueError(f"*.{host[:100]} is too wide: name a domain, such as https://*.example.com.")
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"There is no port {port}.")
    shown = "" if port is None or port.lstrip("0") == _USUAL_PORT[found["scheme"]] else f":{int(port)}"
    return f"{found['scheme']}://{found['any'] or ''}{host}{shown}"


def is_allowed(declared: Iterable[str], origin: str) -> bool:
    """Whether a browser's `Origin` is one of the declared ones; `null` and rubbish never are."""
    found = _SHAPE.fullmatch(origin) if len(origin) <= MAX_LENGTH else None
    if found is None or found["any"]:
        return False
    return any(_matches(each, origin) for each in declared)


def _matches(declared: str, origin: str) -> bool:
    scheme, wildcard, domain = declared.partition("://*.")
    if not wildcard:
        return declared == origin
    return origin.startswith(f"{scheme}://") and origin.endswith(f".{domain}")
