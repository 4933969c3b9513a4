"""The servers that we did not write: their configuration and how they are started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import yaml

from appliance.errors import Unavailable
from provisioning.lite import probes
from provisioning.lite.cache import go_binary
from provisioning.lite.object_store import ROOT_USER, provision_object_store
from provisioning.lite.part import ALL_CALLS, Part, Site
from provisioning.lite.postgres import POSTGRES
from provisioning.lite.settings_file import read_secret, write_if_changed


def debian_program(name: str, package: str) -> str:
    """Raises Unavailable when the package is not installed."""
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"{name} is not installed.", remedy=f"Run `make setup` (Debian package {package}).")
    return path


def _prepare_redis(site: Site) -> None:
    folder = site.directory / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    settings = site.settings.redis
    lines = [
        f"bind {settings.host}",
        f"port {settings.port}",
        f"requirepass {settings.password.reveal()}",
        f'dir "{folder}"',
        "daemonize no",
        'save ""',
        "appendonly no",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
    ]
    write_if_changed(folder / "redis.conf", "\n".join(lines) + "\n", private=True)


REDIS = Part(
    name="redis",
    listens=("redis",),
    prepare=_prepare_redis,
    command=lambda site: [
        debian_program("redis-server", "redis-server"),
        str(site.directory / "redis" / "redis.conf"),
    ],
    probe=lambda site: probes.redis(
        site.settings.redis.host, site.settings.redis.port, site.settings.redis.password.reveal()
    ),
)


def livekit_configuration(site: Site) -> dict[str, Any]:
    """Rooms are only made by the bridge (no auto_create): what joins late cannot bring an ended one back."""
    settings = site.settings
    return {
        "port": site.ports["livekit"],
        "bind_addresses": ["127.0.0.1"],
        "keys": {settings.rooms.api_key: settings.rooms.api_secret.reveal()},
        "redis": {
            "address": f"{settings.redis.host}:{settings.redis.port}",
            "password": settings.redis.password.reveal(),
        },
        "rtc": {
            "tcp_port": site.ports["livekit_rtc_tcp"],
            "udp_port": site.ports["livekit_rtc_udp"],
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "stun_servers": [f"127.0.0.1:{site.ports['livekit_rtc_udp']}"],  # else clients ask a public one
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
        },
        "room": {"auto_create": False, "empty_timeout": 30, "departure_timeout": 10},
        "logging": {"level": "info", "json": True},
    }


def _prepare_livekit(site: Site) -> None:
    text = yaml.safe_dump(livekit_configuration(site), sort_keys=False)
    write_if_changed(site.directory / "livekit" / "livekit.yaml", text, private=True)


LIVEKIT = Part(
    name="livekit",
    listens=("livekit", "livekit_rtc_tcp", "livekit_rtc_udp"),
    needs=("redis",),
    niceness=ALL_CALLS,
    prepare=_prepare_livekit,
    command=lambda site: [
        str(go_binary("livekit-server")),
        "--config",
        str(site.directory / "livekit" / "livekit.yaml"),
    ],
    probe=lambda site: probes.http(f"{site.settings.rooms.http_url}/"),
    stop_seconds=4,  # it waits for its participants; bridge and worker have left before
)


def _minio_environment(site: Site) -> Mapping[str, str]:
    return {
        "MINIO_ROOT_USER": ROOT_USER,
        "MINIO_ROOT_PASSWORD": read_secret(site.directory, "minio_root_password"),
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_SITE_REGION": site.settings.object_store.region,
    }


def _minio_command(site: Site) -> list[str]:
    return [
        str(go_binary("minio")),
        "server",
        "--quiet",
        "--address",
        f"127.0.0.1:{site.ports['minio']}",
        str(site.directory / "minio"),
    ]


MINIO = Part(
    name="minio",
    listens=("minio",),
    command=_minio_command,
    environment=_minio_environment,
    probe=lambda site: probes.http(f"http://{site.settings.object_store.endpoint}/minio/health/ready"),
    provision=provision_object_store,
)

SERVERS = (POSTGRES, REDIS, LIVEKIT, MINIO)
