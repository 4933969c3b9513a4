"""Roles, rights, and the one who acts.

A role is given to a member in an organization (or, `operator`, on the box); a right is what a route or a use
case asks for. Programs hold rights directly, as the scopes of their key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from appliance.errors import NotAllowed


class Role(StrEnum):
    """What a member is in an organization; OPERATOR is of the box."""

    BUILDER = "builder"
    LISTENER = "listener"
    AUDITOR = "auditor"
    ADMIN = "admin"
    OPERATOR = "operator"


class Right(StrEnum):
    """What may be done; also the scopes of API keys. READ sees, WRITE changes."""

    OVERVIEW_READ = "overview:read"
    CALLS_READ = "calls:read"
    CALLS_WRITE = "calls:write"
    TRANSCRIPTS_READ = "transcripts:read"
    RECORDINGS_PLAY = "recordings:play"
    CALLS_EXPORT = "calls:export"
    CALLS_PLACE = "calls:place"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    AGENTS_TEST = "agents:test"
    AGENTS_PUBLISH = "agents:publish"
    NUMBERS_READ = "numbers:read"
    NUMBERS_WRITE = "numbers:write"
    TRUNKS_READ = "trunks:read"
    TRUNKS_WRITE = "trunks:write"
    FUNCTIONS_READ = "functions:read"
    FUNCTIONS_WRITE = "functions:write"
    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    WIDGETS_READ = "widgets:read"
    WIDGETS_WRITE = "widgets:write"
    ORGANIZATION_READ = "organization:read"
    ORGANIZATION_WRITE = "organization:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    AUDIT_READ = "audit:read"
    AUDIT_EXPORT = "audit:export"
    BOX_READ = "box:read"
    BOX_WRITE = "box:write"


_BUILDER = frozenset(
    {
        Right.OVERVIEW_READ,
        Right.CALLS_READ,
        Right.AGENTS_READ,
        Right.AGENTS_WRITE,
        Right.AGENTS_TEST,
        Right.AGENTS_PUBLISH,
        Right.NUMBERS_READ,
        Right.TRUNKS_READ,
        Right.FUNCTIONS_READ,
        Right.FUNCTIONS_WRITE,
        Right.BOOKINGS_READ,
        Right.WIDGETS_READ,
        Right.WIDGETS_WRITE,
        Right.ORGANIZATION_READ,
    }
)
_LISTENER = frozenset(
    {
        Right.OVERVIEW_READ,
        Right.CALLS_READ,
        Right.CALLS_WRITE,
        Right.TRANSCRIPTS_READ,
        Right.RECORDINGS_PLAY,
        Right.AGENTS_READ,
        Right.BOOKINGS_READ,
        Right.BOOKINGS_WRITE,
        Right.ORGANIZATION_READ,
    }
)
_AUDITOR = frozenset(
    {
        Right.OVERVIEW_READ,
        Right.CALLS_READ,
        Right.AGENTS_READ,
        Right.NUMBERS_READ,
        Right.TRUNKS_READ,
        Right.ORGANIZATION_READ,
        Right.MEMBERS_READ,
        Right.KEYS_READ,
        Right.AUDIT_READ,
        Right.AUDIT_EXPORT,
    }
)
_BOX = frozenset({Right.BOX_READ, Right.BOX_WRITE})

RIGHTS_OF_ROLE: dict[Role, frozenset[Right]] = {
    Role.BUILDER: _BUILDER,
    Role.LISTENER: _LISTENER,
    Role.AUDITOR: _AUDITOR,
    Role.ADMIN: frozenset(Right) - _BOX,
    Role.OPERATOR: _BOX,
}
"""Listening is a listener's (and an administrator's) alone; an auditor sees that it happened, not what was
said."""


class ActorKind(StrEnum):
    MEMBER = "member"
    API_KEY = "api_key"
    EMERGENCY = "emergency"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Who does something, as the audit log names it.

    Attributes:
        id: Keycloak's subject, the key's id, or the process.
        name: what a person reads in the audit log.
        organization_id: the organization that it acts in; None for the box alone.
        address: where the request came from; None for the system's own work.
    """

    kind: ActorKind
    id: str
    name: str
    organization_id: UUID | None
    rights: frozenset[Right] = field(default_factory=frozenset[Right])
    address: str | None = None

    def may(self, right: Right) -> bool:
        return right in self.rights

    def must(self, right: Right) -> None:
        """Raises NotAllowed when the right is lacking."""
        if right not in self.rights:
            raise NotAllowed(f"This needs the right {right}.", remedy="Ask an administrator for it.")


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """All that the roles together may do."""
    return frozenset[Right]().union(*(RIGHTS_OF_ROLE[role] for role in roles))
