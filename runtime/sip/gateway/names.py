"""Names inside the gateway that the bridge and the rendered files share."""

from __future__ import annotations

from uuid import UUID

REFUSE_CONTEXT = "trunkline-refuse"
"""Refuses a call that is not answered with the SIP status that the extension names; reads TRUNKLINE_CONTACT
(302) and TRUNKLINE_RETRY_AFTER (503, seconds)."""

FALLBACK_CONTEXT = "trunkline-fallback"
"""Extension `s`: hands the call to TRUNKLINE_OVERFLOW, or speaks `try_again_later` in TRUNKLINE_LANGUAGE."""

HEALTH_CONTEXT = "trunkline-health"
"""Holds every extension while the bridge takes calls, else none: `OPTIONS sip:health@gateway` follow it."""


def endpoint_name(trunk_id: UUID | str) -> str:
    """The PJSIP endpoint over which calls leave by this trunk: `PJSIP/<number>@<endpoint_name>`."""
    return f"trunk-{UUID(str(trunk_id))}"


def context_name(trunk_id: UUID | str) -> str:
    """The dialplan context in which calls that come in by this trunk arrive."""
    return f"trunk-{UUID(str(trunk_id))}"
