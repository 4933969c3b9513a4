"""The error tree.

Each error says what happened, to what, and what to do about it. Bad input never becomes a traceback: the
command line prints one line and an exit code, the API a problem document, the caller hears a sentence.

    TrunklineError
    ├── InvalidInput         what was given cannot be meant; nothing was changed
    ├── NotFound             it does not exist, or not for this organization
    ├── NotAllowed           the identity is known and lacks the right
    ├── Conflict             somebody else was quicker, or the state forbids it
    ├── AtCapacity           everything works and is busy; come again later
    ├── Unavailable          a part or an outside system does not answer
    └── IntegrityError       stored data does not fit its checksum, key or signature
"""

from __future__ import annotations


class TrunklineError(Exception):
    """Base of every error of the appliance.

    `message` is one sentence for a person; `remedy` says what to do about it; `code` is stable and made for
    programs; `retryable` says whether the same request may work later.
    """

    code = "error"
    retryable = False

    def __init__(self, message: str, *, remedy: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class InvalidInput(TrunklineError):  # noqa: N818
    """What was given cannot be meant. `field` names the part of the input, if there is one."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str = "", remedy: str = "", code: str | None = None) -> None:
        super().__init__(message, remedy=remedy, code=code)
        self.field = field


class NotFound(TrunklineError):  # noqa: N818
    """It does not exist, or not for this organization: the two are told alike."""

    code = "not_found"


class NotAllowed(TrunklineError):  # noqa: N818
    """The identity is known and lacks the right, or the token does not hold."""

    code = "not_allowed"


class Conflict(TrunklineError):  # noqa: N818
    """Somebody else was quicker, or the present state forbids it."""

    code = "conflict"


class AtCapacity(TrunklineError):  # noqa: N818
    """Everything works and is busy. Not a failure: come again after `retry_after_seconds`."""

    code = "at_capacity"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 5, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(TrunklineError):  # noqa: N818
    """A part of the box or an outside system does not answer, or not in time."""

    code = "unavailable"
    retryable = True


class IntegrityError(TrunklineError):
    """Stored data does not fit its checksum, key or signature."""

    code = "integrity"
