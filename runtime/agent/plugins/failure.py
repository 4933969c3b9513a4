"""Our errors in the framework's terms."""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError

from appliance.errors import TrunklineError, Unavailable


def as_api_error(error: TrunklineError) -> APIError:
    """Never retryable: the clients have tried what can be tried in a turn. No text of the call is told."""
    if isinstance(error, Unavailable):
        return APIConnectionError(f"{error.code}: {type(error).__name__}", retryable=False)
    return APIError(f"{error.code}: {type(error).__name__}", retryable=False)
