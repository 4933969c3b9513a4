"""Problem documents (RFC 9457) of the tool API, read back into the errors that they were made from."""

from __future__ import annotations

from typing import Any

from appliance.calls.domain import AdmissionRefused
from appliance.errors import (
    AtCapacity,
    Conflict,
    IntegrityError,
    InvalidInput,
    NotAllowed,
    NotFound,
    TrunklineError,
    Unavailable,
)

_BY_STATUS: dict[int, type[TrunklineError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_BY_CODE: dict[str, type[TrunklineError]] = {
    kind.code: kind for kind in (InvalidInput, NotFound, NotAllowed, Conflict, Unavailable, IntegrityError)
}


def error_of_problem(status: int, problem: dict[str, Any]) -> TrunklineError:
    """The error that a problem document stands for; the class follows `code`, else the HTTP status."""
    message = str(problem.get("detail") or problem.get("title") or f"The tool API answered {status}.")
    code = str(problem.get("code") or "")
    retry_after = problem.get("retry_after_seconds")
    if "sip_status" in problem:
        return AdmissionRefused(
            message,
            sip_status=int(problem["sip_status"]),
            retry_after_seconds=int(retry_after) if retry_after is not None else None,
            contact=problem.get("contact"),
            code=code or None,
        )
    if code == AtCapacity.code or status == 429:
        return AtCapacity(message, retry_after_seconds=int(retry_after or 5))
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (InvalidInput if status < 500 else Unavailable)
    if kind is InvalidInput:
        return InvalidInput(message, field=str(problem.get("field") or ""), code=code or None)
    return kind(message, code=code or None)
