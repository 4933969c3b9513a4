"""Trunks as PJSIP objects: how calls of each trunk are recognised, authenticated, encrypted and sent out.

For each trunk there is the endpoint `trunk-<id>` over which calls leave. It also takes what comes in from the
trunk's addresses. A trunk with credentials that the other side must show (`inbound_auth`) has besides an
endpoint and an address of record named as its account, found by user name, so that it can register from
anywhere. No trunk is ever found by a name that a stranger may write into a From header, unless a password
follows.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.errors import InvalidInput
from appliance.telephony.domain import Credentials, Trunk
from runtime.sip.gateway.addresses import HostPort, checked_host, checked_network, parse_proxy, user_part
from runtime.sip.gateway.config_text import ConfigText, section_name
from runtime.sip.gateway.names import context_name, endpoint_name

RESERVED_ACCOUNTS = ("trunk-", "transport-", "global", "system")
_SESSION_EXPIRES_SECONDS = 1800
_HOLD_LIMIT_SECONDS = 3600
_REGISTRATION_SECONDS = 300
_MAX_CONTACTS = 5


def render_trunk(trunk: Trunk, *, rtp_timeout_seconds: int) -> ConfigText:
    """The objects of one trunk. InvalidInput when a value cannot be written or the trunk can neither take nor
    place calls; nothing of that trunk is then rendered."""
    text = ConfigText(f"trunk {trunk.id}")
    name = endpoint_name(trunk.id)
    targets = targets_of(trunk)
    networks = [checked_network(match, field="match") for match in trunk.match]
    account = _account_name(trunk.inbound_auth) if trunk.inbound_auth else None
    if not targets and not networks and account is None:
        raise InvalidInput("The trunk has neither a host nor addresses nor an account.", field="host")

    if trunk.auth:
        _auth(text, f"{name}-out", trunk.auth)
    if trunk.inbound_auth and account:
        _auth(text, f"{name}-in", trunk.inbound_auth)
        _account(text, trunk, account, networks, rtp_timeout_seconds)
    if targets:
        _address_of_record(text, trunk, targets)

    _endpoint(text, name, trunk, rtp_timeout_seconds)
    text.put("identify_by", "ip")
    if targets or account:
        text.put("aors", name if targets else str(account))
    if trunk.auth:
        text.put("outbound_auth", f"{name}-out")
    if account:
        text.put("auth", f"{name}-in")
    if trunk.host:
        text.put("from_domain", checked_host(trunk.host, field="host"))

    sources = networks or [target.host.strip("[]") for target in targets]
    if sources:
        text.section(f"{name}-identify")
        text.put_all(type="identify", endpoint=name, srv_lookups="no")
        for source in dict.fromkeys(sources):
            text.put("match", source)
    if trunk.register_at_host:
        _registrations(text, trunk, name)
    return text


def registered_user(trunk: Trunk) -> str | None:
    """The user under which the trunk's registration is called back, or None without a registration."""
    return trunk.auth.username if trunk.register_at_host and trunk.auth else None


def targets_of(trunk: Trunk) -> list[HostPort]:
    """Where calls are sent, in order of preference. InvalidInput for a host that cannot be one."""
    if trunk.outbound_proxies:
        return [parse_proxy(proxy) for proxy in trunk.outbound_proxies]
    return [_host(trunk)] if trunk.host else []


def _host(trunk: Trunk) -> HostPort:
    if not trunk.host:
        raise InvalidInput("The trunk has no host.", field="host")
    return HostPort(checked_host(trunk.host, field="host"), trunk.port)


def _account_name(credentials: Credentials) -> str:
    name = section_name(credentials.username, field="inbound_auth.username")
    if name.startswith(RESERVED_ACCOUNTS):
        raise InvalidInput(f"The account name {name!r} is reserved.", field="inbound_auth.username")
    return name


def _endpoint(text: ConfigText, name: str, trunk: Trunk, rtp_timeout_seconds: int) -> None:
    # No transport here: it would carry our requests within a call (BYE) over it even when the call came in by
    # another one. Calls that leave take it from the address of record.
    text.section(name)
    text.put_all(
        type="endpoint",
        context=context_name(trunk.id),
        disallow="all",
        allow=",".join(trunk.codecs),
        direct_media="no",
        rtp_symmetric="yes",
        force_rport="yes",
        rewrite_contact="yes",
        dtmf_mode="auto_info",
        timers="yes",
        timers_min_se=90,
        timers_sess_expires=_SESSION_EXPIRES_SECONDS,
        rtp_timeout=rtp_timeout_seconds,
        rtp_timeout_hold=_HOLD_LIMIT_SECONDS,
        trust_id_inbound="yes",
        trust_id_outbound="yes",
        send_pai="yes",
        send_connected_line="no",
        redirect_method="uri_pjsip",
        allow_subscribe="no",
        max_video_streams=0,
        tos_audio="ef",
    )
    for key, value in _encryption(trunk):
        text.put(key, value)


def _encryption(trunk: Trunk) -> Iterator[tuple[str, str]]:
    if trunk.srtp == "off":
        yield "media_encryption", "no"
        return
    yield "media_encryption", "sdes"
    yield "media_encryption_optimistic", "yes" if trunk.srtp == "optional" else "no"


def _account(
    text: ConfigText, trunk: Trunk, account: str, networks: list[str], rtp_timeout_seconds: int
) -> None:
    """The endpoint that the other side names and proves to be; with networks only from these."""
    _endpoint(text, account, trunk, rtp_timeout_seconds)
    text.put_all(identify_by="auth_username,username", aors=account, auth=f"{endpoint_name(trunk.id)}-in")
    if networks:
        text.put("deny", "0.0.0.0/0")
        text.put("deny", "::/0")
        for network in networks:
            text.put("permit", network)
    text.section(account)
    text.put_all(
        type="aor",
        max_contacts=_MAX_CONTACTS,
        remove_existing="yes",
        remove_unavailable="yes",
        minimum_expiration=30,
        default_expiration=_REGISTRATION_SECONDS,
        maximum_expiration=3600,
        support_path="yes",
        qualify_frequency=trunk.qualify_seconds,
    )


def _address_of_record(text: ConfigText, trunk: Trunk, targets: list[HostPort]) -> None:
    text.section(endpoint_name(trunk.id))
    text.put_all(type="aor", qualify_frequency=trunk.qualify_seconds, qualify_timeout=3)
    for target in targets:
        text.put("contact", f"sip:{target}{_transport_parameter(trunk)}")


def _auth(text: ConfigText, name: str, credentials: Credentials) -> None:
    text.section(name)
    text.put_all(
        type="auth", auth_type="userpass", username=credentials.username, password=credentials.password
    )


def _registrations(text: ConfigText, trunk: Trunk, name: str) -> None:
    """One registration for each outbound proxy, all at once: when a proxy dies, the others already stand.

    Every one of them has the same contact, so a registrar behind several proxies keeps one binding.
    """
    if not trunk.auth:
        raise InvalidInput("A trunk that registers needs credentials.", field="auth")
    host = _host(trunk)
    parameter = _transport_parameter(trunk)
    user = user_part(trunk.auth.username)
    proxies = [parse_proxy(proxy) for proxy in trunk.outbound_proxies] or [None]
    for number, proxy in enumerate(proxies):
        text.section(f"{name}-registration-{number}")
        text.put_all(
            type="registration",
            transport=f"transport-{trunk.transport}",
            server_uri=f"sip:{host}{parameter}",
            client_uri=f"sip:{user}@{host}{parameter}",
            contact_user=user,
            outbound_auth=f"{name}-out",
            expiration=_REGISTRATION_SECONDS,
            max_random_initial_delay=0,
            retry_interval=10,
            forbidden_retry_interval=60,
            fatal_retry_interval=60,
            auth_rejection_permanent="no",
            max_retries=1_000_000_000,
        )
        if proxy is not None:
            text.put("outbound_proxy", f"sip:{proxy};lr{parameter}")
        if len(proxies) == 1:
            text.put_all(line="yes", endpoint=name)


def _transport_parameter(trunk: Trunk) -> str:
    return "" if trunk.transport == "udp" else f";transport={trunk.transport}"
