"""What a member may write to select from a request: JMESPath, without what makes a small request large.

An expression sees `{"headers": {...}, "body": ...}`, the names of headers in small letters. Lists and objects
cannot be built and texts cannot be joined, so that no expression costs more than the request is large.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

MAX_CHARACTERS = 500
_NODES = frozenset(
    {
        *("field", "subexpression", "index", "index_expression", "identity", "literal", "current"),
        *("comparator", "and_expression", "or_expression", "not_expression", "pipe"),
        *("filter_projection", "projection", "slice", "function_expression"),
    }
)
_FUNCTIONS = frozenset(
    {"contains", "ends_with", "length", "not_null", "starts_with", "to_number", "to_string", "type"}
)


class NotSelectable(ValueError):  # noqa: N818
    """The expression is not one; the message says why, in words for the one who wrote it."""


@lru_cache(maxsize=1024)
def compiled(expression: str) -> Any:
    """NotSelectable for what is no JMESPath, and for what this house does not run."""
    if len(expression) > MAX_CHARACTERS:
        raise NotSelectable(f"the expression is longer than {MAX_CHARACTERS} characters")
    try:
        made: Any = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["it cannot be read"])[0]
        raise NotSelectable(f"not an expression: {reason.removesuffix(', for expression:')[:200]}") from error
    _check(made.parsed)
    return made


def selected(expression: str, document: dict[str, Any]) -> Any:
    """What the expression gives; NotSelectable when it cannot be applied (`contains` of nothing, say)."""
    try:
        return compiled(expression).search(document)
    except (JMESPathError, TypeError, ValueError, RecursionError) as error:
        raise NotSelectable(str(error).splitlines()[0][:200]) from error


def is_true(value: Any) -> bool:
    """As JMESPath has it: nothing, false and what is empty are not true; zero is."""
    return value == 0 if isinstance(value, int | float) and not isinstance(value, bool) else bool(value)


def plain_text(value: Any) -> str | None:
    """A text or a number as text; None for anything else and for nothing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def _check(node: Any) -> None:
    kind = node["type"]
    if kind not in _NODES:
        raise NotSelectable(f"{kind.replace('_', ' ')} is not used here")
    if kind == "function_expression" and node["value"] not in _FUNCTIONS:
        raise NotSelectable(f"there is no function {node['value']}; known: {', '.join(sorted(_FUNCTIONS))}")
    for child in node["children"]:
        if isinstance(child, dict):
            _check(child)
