"""What the bridge writes into the gateway."""

from __future__ import annotations

from sqlalchemy import text

from appliance.clients.tool_api import ToolApiClient
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.telephony.domain import GatewayConfiguration
from appliance.telephony.domain import Trunk as TrunkOfGateway
from appliance.telephony.tables import Number, Trunk
from tests.integration.tool_api.world import World


def trunk_of(configuration: GatewayConfiguration, own: World) -> TrunkOfGateway | None:
    return next((each for each in configuration.trunks if each.id == own.trunk_id), None)


async def test_trunks_carry_their_passwords_and_numbers_their_overflow(
    service: ToolApiClient, own: World
) -> None:
    keys = KeyRing.from_settings(own.box.settings.security)
    with own.session() as session:
        organization = session.get_one(Organization, own.organization_id)
        trunk = session.get_one(Trunk, own.trunk_id)
        trunk.auth_username, trunk.inbound_username = "we", "they"
        for column, word in (("auth_password", "our word"), ("inbound_password", "their word")):
            sealed = keys.encrypt_field(
                own.organization_id, organization.wrapped_key, f"trunks.{column}", trunk.id, word
            )
            setattr(trunk, column, sealed)
        trunk.register, trunk.transport, trunk.srtp, trunk.codecs = True, "tls", "required", ["alaw"]
        session.get_one(Number, own.number_id).overflow = "sip:600@pbx.example"
    configuration = await service.gateway()
    found = trunk_of(configuration, own)
    assert found is not None
    assert found.auth is not None
    assert found.inbound_auth is not None
    assert (found.auth.username, found.auth.password) == ("we", "our word")
    assert (found.inbound_auth.username, found.inbound_auth.password) == ("they", "their word")
    assert (found.register_at_host, found.transport, found.srtp, found.codecs) == (
        True,
        "tls",
        "required",
        ("alaw",),
    )
    assert "word" not in repr(found)
    number = next(each for each in configuration.numbers if each.number == own.number)
    assert (number.trunk_id, number.overflow) == (None, "sip:600@pbx.example")
    assert configuration.capacity > 0


async def test_the_revision_changes_when_something_does_and_only_then(
    service: ToolApiClient, own: World
) -> None:
    seen = [(await service.gateway()).revision]
    assert (await service.gateway()).revision == seen[0]
    for row, row_id, values in (
        (Trunk, own.trunk_id, {"host": "10.0.0.9"}),
        (Trunk, own.trunk_id, {"inbound_username": "they", "inbound_password": _sealed(own, "one")}),
        (Trunk, own.trunk_id, {"inbound_password": _sealed(own, "two")}),
        (Number, own.number_id, {"overflow": "sip:1@pbx.example"}),
        (Number, own.number_id, {"trunk_id": own.trunk_id}),
    ):
        own.change(row, row_id, **values)
        seen.append((await service.gateway()).revision)
    assert len(set(seen)) == len(seen)
    await service.admit(own.request())
    assert (await service.gateway()).revision == seen[-1]


async def test_a_broken_trunk_does_not_take_the_telephone_from_the_others(
    service: ToolApiClient, own: World, other: World
) -> None:
    own.change(Trunk, own.trunk_id, inbound_username="they", inbound_password=b"not what we sealed")
    configuration = await service.gateway()
    assert trunk_of(configuration, own) is None
    assert trunk_of(configuration, other) is not None


async def test_an_organization_sees_only_its_own_trunks(own: World, other: World) -> None:
    with own.session() as session:
        seen = set(session.scalars(text("SELECT id FROM trunks")))
    assert own.trunk_id in seen
    assert other.trunk_id not in seen


def _sealed(own: World, word: str) -> bytes:
    keys = KeyRing.from_settings(own.box.settings.security)
    with own.session() as session:
        wrapped = session.get_one(Organization, own.organization_id).wrapped_key
    return keys.encrypt_field(own.organization_id, wrapped, "trunks.inbound_password", own.trunk_id, word)
