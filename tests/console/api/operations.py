"""The endpoints as the OpenAPI document names them, and the rule that each of them must have.

A new endpoint fails the tests until it stands in RULES: with the right that it asks for, and a body that it
takes, if it takes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appliance.access.domain import Right

LATER = "2030-01-31T12:00:00Z"
TRUNK = {"name": "Matrix", "host": "pbx.example.com"}
NUMBER = {"number": "+4930999999001", "agent_id": "{agent_id}"}
FUNCTION = {"name": "matrix_fn", "description": "x", "url": "https://example.com/"}
WEBHOOK = {"url": "https://example.com/", "events": ["call.ended"]}
WIDGET = {"name": "Matrix", "title": "Matrix", "agent_id": "{agent_id}"}
PERSON = {"email": "matrix@example.org", "first_name": "Matrix", "last_name": "Member"}
TENANT = {"slug": "matrix", "name": "Matrix", "timezone": "UTC"}
ORGANIZATION = {"name": "Matrix", "timezone": "UTC"}


@dataclass(frozen=True)
class Rule:
    right: Right
    body: Any = None
    query: str = ""


RULES: dict[str, Rule] = {
    "listCalls": Rule(Right.CALLS_READ),
    "placeCall": Rule(Right.CALLS_PLACE, {"agent_id": "{agent_id}", "to": "+4930"}),
    "exportCalls": Rule(Right.CALLS_EXPORT),
    "getCall": Rule(Right.CALLS_READ),
    "addCallNote": Rule(Right.CALLS_WRITE, {"text": "x"}),
    "listShareLinks": Rule(Right.CALLS_READ),
    "createShareLink": Rule(Right.CALLS_WRITE, {"expires_at": "{soon}"}),
    "revokeShareLink": Rule(Right.CALLS_WRITE),
    "listCallFilters": Rule(Right.CALLS_READ),
    "saveCallFilter": Rule(Right.CALLS_READ, {"name": "x", "filter": {}}),
    "deleteCallFilter": Rule(Right.CALLS_READ),
    "playRecording": Rule(Right.RECORDINGS_PLAY),
    "streamCallEvents": Rule(Right.CALLS_READ),
    "listAgents": Rule(Right.AGENTS_READ),
    "createAgent": Rule(Right.AGENTS_WRITE, {"name": "Matrix"}),
    "getAgent": Rule(Right.AGENTS_READ),
    "changeAgent": Rule(Right.AGENTS_WRITE, {"name": "Matrix"}),
    "getDraft": Rule(Right.AGENTS_READ),
    "saveDraft": Rule(Right.AGENTS_WRITE, {"snapshot": {}}),
    "publishAgent": Rule(Right.AGENTS_PUBLISH, {}),
    "listVersions": Rule(Right.AGENTS_READ),
    "getVersion": Rule(Right.AGENTS_READ),
    "rollBack": Rule(Right.AGENTS_PUBLISH),
    "diffVersions": Rule(Right.AGENTS_READ, query="before={version_id}"),
    "beginTestCall": Rule(Right.AGENTS_TEST),
    "getTestCall": Rule(Right.AGENTS_TEST),
    "answerTestCall": Rule(Right.AGENTS_TEST),
    "endTestCall": Rule(Right.AGENTS_TEST),
    "listTrunks": Rule(Right.TRUNKS_READ),
    "createTrunk": Rule(Right.TRUNKS_WRITE, TRUNK),
    "getTrunk": Rule(Right.TRUNKS_READ),
    "changeTrunk": Rule(Right.TRUNKS_WRITE, TRUNK),
    "deleteTrunk": Rule(Right.TRUNKS_WRITE),
    "testTrunk": Rule(Right.TRUNKS_WRITE),
    "listNumbers": Rule(Right.NUMBERS_READ),
    "createNumber": Rule(Right.NUMBERS_WRITE, NUMBER),
    "getNumber": Rule(Right.NUMBERS_READ),
    "changeNumber": Rule(Right.NUMBERS_WRITE, NUMBER),
    "deleteNumber": Rule(Right.NUMBERS_WRITE),
    "getOpeningHours": Rule(Right.NUMBERS_READ),
    "setOpeningHours": Rule(Right.NUMBERS_WRITE, {}),
    "listFunctions": Rule(Right.FUNCTIONS_READ),
    "createFunction": Rule(Right.FUNCTIONS_WRITE, FUNCTION),
    "getFunction": Rule(Right.FUNCTIONS_READ),
    "changeFunction": Rule(Right.FUNCTIONS_WRITE, FUNCTION),
    "deleteFunction": Rule(Right.FUNCTIONS_WRITE),
    "tryFunction": Rule(Right.FUNCTIONS_WRITE, {}),
    "listBookings": Rule(Right.BOOKINGS_READ),
    "getBooking": Rule(Right.BOOKINGS_READ),
    "moveBooking": Rule(Right.BOOKINGS_WRITE, {"starts_at": LATER}),
    "cancelBooking": Rule(Right.BOOKINGS_WRITE),
    "listOrders": Rule(Right.BOOKINGS_READ),
    "getOrder": Rule(Right.BOOKINGS_READ),
    "listCallbacks": Rule(Right.BOOKINGS_READ),
    "setCallbackDone": Rule(Right.BOOKINGS_WRITE, {"done": True}),
    "getOrganization": Rule(Right.ORGANIZATION_READ),
    "changeOrganization": Rule(Right.ORGANIZATION_WRITE, ORGANIZATION),
    "getUsage": Rule(Right.ORGANIZATION_READ),
    "listApiKeys": Rule(Right.KEYS_READ),
    "createApiKey": Rule(Right.KEYS_WRITE, {"name": "x", "scopes": ["calls:read"]}),
    "getApiKey": Rule(Right.KEYS_READ),
    "revokeApiKey": Rule(Right.KEYS_WRITE),
    "getOverview": Rule(Right.OVERVIEW_READ),
    "listMembers": Rule(Right.MEMBERS_READ),
    "inviteMember": Rule(Right.MEMBERS_WRITE, {**PERSON, "roles": ["builder"]}),
    "getMember": Rule(Right.MEMBERS_READ),
    "changeRoles": Rule(Right.MEMBERS_WRITE, {"roles": ["builder"]}),
    "removeMember": Rule(Right.MEMBERS_WRITE),
    "getBox": Rule(Right.BOX_READ),
    "listOrganizations": Rule(Right.BOX_READ),
    "createOrganization": Rule(Right.BOX_WRITE, TENANT),
    "inviteAdministrator": Rule(Right.BOX_WRITE, PERSON),
    "createSupportBundle": Rule(Right.BOX_WRITE),
    "listBoxAuditEntries": Rule(Right.BOX_READ),
    "verifyBoxAudit": Rule(Right.BOX_READ),
    "listAuditEntries": Rule(Right.AUDIT_READ),
    "verifyAudit": Rule(Right.AUDIT_READ),
    "exportAudit": Rule(Right.AUDIT_EXPORT),
    "listWebhooks": Rule(Right.WEBHOOKS_READ),
    "createWebhook": Rule(Right.WEBHOOKS_WRITE, WEBHOOK),
    "getWebhook": Rule(Right.WEBHOOKS_READ),
    "changeWebhook": Rule(Right.WEBHOOKS_WRITE, WEBHOOK),
    "deleteWebhook": Rule(Right.WEBHOOKS_WRITE),
    "renewWebhookSecret": Rule(Right.WEBHOOKS_WRITE),
    "testWebhook": Rule(Right.WEBHOOKS_WRITE),
    "listWebhookDeliveries": Rule(Right.WEBHOOKS_READ),
    "getWebhookDelivery": Rule(Right.WEBHOOKS_READ),
    "replayWebhookDelivery": Rule(Right.WEBHOOKS_WRITE),
    "listHooks": Rule(Right.WEBHOOKS_READ),
    "createHook": Rule(Right.WEBHOOKS_WRITE, {"name": "Matrix"}),
    "getHook": Rule(Right.WEBHOOKS_READ),
    "changeHook": Rule(Right.WEBHOOKS_WRITE, {"name": "Matrix"}),
    "deleteHook": Rule(Right.WEBHOOKS_WRITE),
    "renewHookSecret": Rule(Right.WEBHOOKS_WRITE),
    "tryHook": Rule(Right.WEBHOOKS_WRITE, {}),
    "listHookRequests": Rule(Right.WEBHOOKS_READ),
    "getHookRequest": Rule(Right.WEBHOOKS_READ),
    "replayHookRequest": Rule(Right.WEBHOOKS_WRITE),
    "listWidgets": Rule(Right.WIDGETS_READ),
    "createWidget": Rule(Right.WIDGETS_WRITE, WIDGET),
    "getWidget": Rule(Right.WIDGETS_READ),
    "changeWidget": Rule(Right.WIDGETS_WRITE, WIDGET),
    "deleteWidget": Rule(Right.WIDGETS_WRITE),
}


@dataclass(frozen=True)
class Operation:
    """`path` below `/api/v1`, with the names of its parameters in braces."""

    name: str
    method: str
    path: str

    @property
    def names_a_thing(self) -> bool:
        return "{" in self.path


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield Operation(described["operationId"], method.upper(), path.removeprefix("/api/v1"))


def filled(template: Any, values: dict[str, str]) -> Any:
    """The template with `{name}` replaced wherever it stands."""
    if isinstance(template, str):
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", value)
        return template
    if isinstance(template, dict):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template
