"""The settings of a process: one frozen tree, read once at its start from one YAML file.

The file is named by `TRUNKLINE_SETTINGS`. Secrets are never in it: it names files, and `Secret` reads them.
Provisioning writes the file (`provisioning/lite/settings_file.py` for the lite profile).
"""

from __future__ import annotations

import os
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from typing_extensions import override

from appliance.errors import InvalidInput

SETTINGS_VARIABLE = "TRUNKLINE_SETTINGS"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


def _network(network: str) -> str:
    return str(ip_network(network))


class SecretFile(BaseModel):
    """A secret that lives in a file of its own, readable by its process alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: AbsolutePath

    @cached_property
    def value(self) -> SecretStr:
        """The secret, without the newline at its end. InvalidInput when the file is missing or empty."""
        try:
            text = self.file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidInput(
                f"The secret {self.file.name} cannot be read.", remedy=f"Check {self.file}."
            ) from error
        if not text:
            raise InvalidInput(f"The secret {self.file.name} is empty.", remedy=f"Check {self.file}.")
        return SecretStr(text)

    def reveal(self) -> str:
        return self.value.get_secret_value()


class DatabaseSettings(_Section):
    """PostgreSQL. Three roles: the owner migrates, the app works under row-level security, the router reads
    the numbers and trunks of every organization (an incoming call does not know its organization yet)."""

    host: str = "127.0.0.1"
    port: int = 5432
    name: str = "trunkline"
    owner_user: str = "trunkline_owner"
    owner_password: SecretFile
    app_user: str = "trunkline_app"
    app_password: SecretFile
    router_user: str = "trunkline_router"
    router_password: SecretFile
    pool_size: int = 8
    statement_timeout_seconds: float = 10.0

    def url(self, role: Literal["owner", "app", "router"], *, driver: str = "postgresql+psycopg") -> str:
        """A connection URL; `driver="postgresql"` is the plain libpq form."""
        from sqlalchemy.engine import URL

        user, password = {
            "owner": (self.owner_user, self.owner_password),
            "app": (self.app_user, self.app_password),
            "router": (self.router_user, self.router_password),
        }[role]
        url = URL.create(driver, user, password.reveal(), self.host, self.port, self.name)
        return url.render_as_string(hide_password=False)


class RedisSettings(_Section):
    host: str = "127.0.0.1"
    port: int = 6379
    password: SecretFile


class RoomSettings(_Section):
    """The LiveKit SFU."""

    url: str = "ws://127.0.0.1:7880"
    api_key: str = "trunkline"
    api_secret: SecretFile

    @property
    def http_url(self) -> str:
        return self.url.replace("ws://", "http://", 1).replace("wss://", "https://", 1)


class ObjectStoreSettings(_Section):
    """Any S3 store."""

    endpoint: str = "127.0.0.1:9000"
    secure: bool = False
    region: str = "us-east-1"
    access_key: str = "trunkline"
    secret_key: SecretFile
    bucket: str = "recordings"
    part_size_bytes: int = 5 * 1024 * 1024
    timeout_seconds: float = 10.0


class GatewaySettings(_Section):
    """The SIP gateway (Asterisk) and what the bridge needs to drive it."""

    ari_url: str = "http://127.0.0.1:8088"
    ari_user: str = "trunkline"
    ari_password: SecretFile
    ari_app: str = "trunkline"
    audiosocket_host: str = "127.0.0.1"
    audiosocket_port: int = 9092
    config_dir: AbsolutePath
    """Where the bridge writes `pjsip_trunks.conf` and `extensions_trunks.conf`; the gateway includes them."""
    trusted_file: AbsolutePath | None = None
    """The authorities by which the gateway judges certificates (PEM); None: those of the system."""
    sip_host: str = "127.0.0.1"
    sip_port: int = 5060
    sip_tls_port: int = 5061
    external_address: str = "127.0.0.1"
    rtp_timeout_seconds: int = 20
    trunk_poll_seconds: float = 2.0


class SpeechSettings(_Section):
    """Recogniser and voice: servers of the KServe v2 gRPC protocol (Triton's, and the lite server's)."""

    stt_address: str = "127.0.0.1:8001"
    stt_model: str = "stt"
    tts_address: str = "127.0.0.1:8001"
    tts_model: str = "tts"
    result_timeout_seconds: float = 2.5
    first_audio_timeout_seconds: float = 2.5
    max_streams: int = 32


class EngineSettings(_Section):
    """The real engines on this host: which added models they serve, and where.

    The names are those of the manifest; an empty one is the model of its role that was added last.
    """

    manifest: AbsolutePath | None = None
    stt: str = ""
    tts: str = ""
    llm: str = ""
    device: str = "cpu"
    """`cpu` or a CUDA device; a process sees only those that its service gives it."""
    launch_profile: str = ""
    """How vLLM is started (`models/llm/vllm/profiles.yaml`); empty: by the device's memory."""
    triton_http_port: int = 8005
    triton_metrics_port: int = 8006
    voice_health_port: int = 8004
    voice_queue: int = 16
    """Clauses that may wait for the voice; beyond it the server says that it is at capacity."""


class LanguageSettings(_Section):
    """An OpenAI-compatible chat server, and the scripted dialogue engine that answers when it is lost."""

    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = "scripted"
    api_key: SecretFile | None = None
    fallback_base_url: str | None = None
    fallback_model: str = "scripted"
    first_token_timeout_seconds: float = 2.5
    hedge_after_seconds: float = 1.0
    """Without a useful piece for so long the fallback is asked beside the model."""
    max_requests: int = 64
    """Answers that one process has open at a server; more go to the fallback at once."""


class ToolApiSettings(_Section):
    host: str = "127.0.0.1"
    port: int = 8100
    service_token: SecretFile
    """What the bridge, the worker and the jobs worker show at /internal/calls."""
    token_key: SecretFile
    """HMAC key of the per-call tokens; known to the tool API alone."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class WorkerSettings(_Section):
    agent_name: str = "trunkline"
    """The name by which rooms dispatch the agent."""
    max_calls: int = 10
    prewarmed_processes: int = 2
    health_port: int = 8081


class BridgeSettings(_Section):
    health_port: int = 8082
    agent_ready_timeout_seconds: float = 8.0
    worker_lost_attempts: int = 2


class JobsSettings(_Section):
    health_port: int = 8083
    spool_scan_seconds: float = 2.0


class IdentitySettings(_Section):
    """Keycloak: who signs in, and what the member pages change there."""

    url: str = "http://127.0.0.1:8090"
    """As browsers and tokens name it, without a path."""
    internal_url: str | None = None
    """As the console reaches it, when that is another way."""
    realm: str = "trunkline"
    client_id: str = "console"
    client_secret: SecretFile
    members_client_id: str = "trunkline-members"
    members_client_secret: SecretFile
    api_audience: str = "api"
    timeout_seconds: float = 5.0

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/{self.realm}"

    @property
    def reached_at(self) -> str:
        """The realm's address for the console's own requests."""
        return f"{self.internal_url or self.url}/realms/{self.realm}"


class ConsoleSettings(_Section):
    host: str = "127.0.0.1"
    port: int = 8443
    url: str = "http://127.0.0.1:8443"
    """The one address by which browsers reach the console, without a path."""
    cookie_key: SecretFile
    """Signs and seals what is kept in cookies."""
    idle_minutes: int = 30
    absolute_hours: int = 12
    fresh_minutes: int = 5
    """So long after a password was shown a dangerous act is believed without asking again."""
    trusted_proxies: tuple[str, ...] = ()
    browser_files_dir: AbsolutePath | None = None
    """Scripts of others that the set-up fetched, a folder each; `livekit-client` is served."""

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")


class OutboundSettings(_Section):
    """Addresses that members type in (functions, webhooks): public ones by https alone."""

    allowed_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Networks of the site that may be reached although they are not public, such as `192.0.2.0/24`."""


class SecuritySettings(_Section):
    box_key: SecretFile
    """32 random bytes, base64: wraps the organizations' keys."""
    audit_key: SecretFile | None = None
    """32 random bytes, base64: signs the heads of the audit log; without it they are not signed."""


class TelemetrySettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: bool = True
    log_dir: AbsolutePath | None = None
    """Where the logs of the parts lie, `<part>.log`; the end of each goes into a support bundle."""
    versions_file: AbsolutePath | None = None
    """JSON, written by provisioning: the version of each server that the set-up installed."""


class Settings(_Section):
    """Everything that a process is told from outside."""

    profile: Literal["lite", "gpu"] = "lite"
    site_name: str = "Trunkline"
    spool_dir: AbsolutePath
    """Encrypted recordings and undelivered call reports wait here until they have arrived."""
    sentences_dir: AbsolutePath
    """`<language>/<key>.wav`, 16 kHz mono: what the caller hears when a part is lost."""
    database: DatabaseSettings
    redis: RedisSettings
    rooms: RoomSettings
    object_store: ObjectStoreSettings
    gateway: GatewaySettings
    speech: SpeechSettings = Field(default_factory=SpeechSettings)
    engines: EngineSettings = Field(default_factory=EngineSettings)
    language: LanguageSettings = Field(default_factory=LanguageSettings)
    tool_api: ToolApiSettings
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    bridge: BridgeSettings = Field(default_factory=BridgeSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    identity: IdentitySettings
    console: ConsoleSettings
    outbound: OutboundSettings = Field(default_factory=OutboundSettings)
    security: SecuritySettings
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @override
    def __repr__(self) -> str:
        return f"Settings(profile={self.profile!r}, site_name={self.site_name!r})"


def load_settings(path: Path | None = None) -> Settings:
    """Reads the settings file, or the one that `TRUNKLINE_SETTINGS` names.

    Raises InvalidInput with the name of the first wrong key.
    """
    if path is None:
        named = os.environ.get(SETTINGS_VARIABLE)
        if not named:
            raise InvalidInput(
                "No settings file is named.", remedy=f"Set {SETTINGS_VARIABLE}, or start by `make demo`."
            )
        path = Path(named)
    try:
        tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"The settings file {path} cannot be read.", remedy="Run `make demo`.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"The settings file {path} is not YAML.", remedy=str(error)) from error
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"The setting {key} in {path}: {first['msg']}.", field=key) from error
