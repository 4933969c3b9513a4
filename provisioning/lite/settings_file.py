"""Writes the settings file of a lite box and the secrets that it names.

A secret is made once, random bytes in a file of its own (mode 0600), and then kept: writing again changes
nothing but what the ports and the overrides say.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from appliance.settings import Settings, load_settings
from provisioning.lite.cache import cache_directory
from provisioning.lite.engines import Engines, settings_of
from provisioning.lite.ports import Ports

SECRETS = (
    "postgres_superuser_password",
    "database_owner_password",
    "database_app_password",
    "database_router_password",
    "redis_password",
    "livekit_api_secret",
    "minio_root_password",
    "object_store_secret_key",
    "ari_password",
    "tool_api_service_token",
    "tool_api_token_key",
    "box_key",
    "console_cookie_key",
    "console_client_secret",
    "members_client_secret",
    "keycloak_database_password",
    "keycloak_provisioning_secret",
    "first_login_password",
    "audit_key",
)


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def write_if_changed(path: Path, text: str, *, private: bool = False) -> bool:
    """Writes a file unless it holds that text already; True when it was written."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    if private:
        write_private(path, text)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return True


def secret_path(directory: Path, name: str) -> Path:
    return directory / "secrets" / name


def read_secret(directory: Path, name: str) -> str:
    return secret_path(directory, name).read_text(encoding="utf-8").strip()


def make_secrets(directory: Path) -> None:
    """Makes those that are missing. The box key is plain base64, the others are safe inside a URL."""
    for name in SECRETS:
        path = secret_path(directory, name)
        if not path.exists():
            # A person may have to type the first login: 120 bits in 20 letters.
            random = secrets.token_bytes(15 if name == "first_login_password" else 32)
            text = base64.b64encode(random) if name == "box_key" else base64.urlsafe_b64encode(random)
            write_private(path, text.decode().rstrip("=" if name != "box_key" else "") + "\n")


def _tree(directory: Path, ports: Ports) -> dict[str, Any]:
    def secret(name: str) -> dict[str, str]:
        return {"file": str(secret_path(directory, name))}

    return {
        "profile": "lite",
        "spool_dir": str(directory / "spool"),
        "sentences_dir": str(directory / "sentences"),
        "database": {
            "port": ports["postgres"],
            "owner_password": secret("database_owner_password"),
            "app_password": secret("database_app_password"),
            "router_password": secret("database_router_password"),
        },
        "redis": {"port": ports["redis"], "password": secret("redis_password")},
        "rooms": {
            "url": f"ws://127.0.0.1:{ports['livekit']}",
            "api_secret": secret("livekit_api_secret"),
        },
        "object_store": {
            "endpoint": f"127.0.0.1:{ports['minio']}",
            "secret_key": secret("object_store_secret_key"),
        },
        "gateway": {
            "ari_url": f"http://127.0.0.1:{ports['ari']}",
            "ari_password": secret("ari_password"),
            "audiosocket_port": ports["bridge_audiosocket"],
            "config_dir": str(directory / "gateway"),
            "trusted_file": str(directory / "asterisk" / "tls" / "trusted.pem"),
            "sip_port": ports["asterisk"],
            "sip_tls_port": ports["asterisk_tls"],
        },
        "speech": {
            "stt_address": f"127.0.0.1:{ports['speech']}",
            "tts_address": f"127.0.0.1:{ports['speech']}",
        },
        "language": {"base_url": f"http://127.0.0.1:{ports['dialogue']}/v1"},
        "tool_api": {
            "port": ports["tool_api"],
            "service_token": secret("tool_api_service_token"),
            "token_key": secret("tool_api_token_key"),
        },
        "worker": {"health_port": ports["worker"]},
        "bridge": {"health_port": ports["bridge"]},
        "jobs": {"health_port": ports["jobs"]},
        "identity": {
            "url": f"http://127.0.0.1:{ports['keycloak']}",
            "client_secret": secret("console_client_secret"),
            "members_client_secret": secret("members_client_secret"),
        },
        "console": {
            "port": ports["console"],
            "url": f"http://127.0.0.1:{ports['console']}",
            "cookie_key": secret("console_cookie_key"),
            "browser_files_dir": str(cache_directory() / "browser"),
        },
        "security": {"box_key": secret("box_key"), "audit_key": secret("audit_key")},
        "telemetry": {"log_dir": str(directory / "log"), "versions_file": str(directory / "versions.json")},
    }


def merge(tree: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lays the overrides over the tree; `{"worker": {"max_calls": 5}}` may be `{"worker.max_calls": 5}`."""
    merged = dict(tree)
    for key, value in overrides.items():
        first, _, rest = key.partition(".")
        nested: Any = {rest: value} if rest else value
        old = merged.get(first)
        if isinstance(nested, Mapping):
            merged[first] = merge(dict(old) if isinstance(old, Mapping) else {}, nested)
        else:
            merged[first] = nested
    return merged


def write_settings(
    directory: Path, ports: Ports, overrides: Mapping[str, Any], engines: Engines = "lite"
) -> Settings:
    """Writes `settings.yaml` and the secrets under the directory and reads the settings back.

    Raises InvalidInput when an override names no setting, or gives one a wrong value.
    """
    directory.mkdir(parents=True, exist_ok=True)
    make_secrets(directory)
    path = directory / "settings.yaml"
    tree = _tree(directory, ports)
    if engines == "real":
        tree = merge(tree, settings_of(directory, ports))
    text = yaml.safe_dump(merge(tree, overrides), sort_keys=False)
    write_if_changed(path, text, private=True)
    settings = load_settings(path)
    for folder in (
        settings.spool_dir,
        settings.sentences_dir,
        settings.gateway.config_dir,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    settings.spool_dir.chmod(0o700)
    return settings
