"""The parts that we wrote, and the gateway."""

from __future__ import annotations

import sys
from collections.abc import Callable

from provisioning.lite import asterisk, probes, sentences
from provisioning.lite.asterisk import Asterisk
from provisioning.lite.cache import cache_directory
from provisioning.lite.console import CONSOLE
from provisioning.lite.engines import ENGINE_PARTS, lite_speech_environment
from provisioning.lite.keycloak import KEYCLOAK
from provisioning.lite.part import ALL_CALLS, AWAITED_BY_CALLS, Part, Site
from provisioning.lite.servers import SERVERS


def _python(module: str) -> Callable[[Site], list[str]]:
    return lambda _site: [sys.executable, "-m", module]


def _ready(port: str, path: str = "/health/ready") -> Callable[[Site], Callable[[], None]]:
    return lambda site: probes.http(f"http://127.0.0.1:{site.ports[port]}{path}")


def _asterisk(site: Site) -> Asterisk:
    gateway = site.settings.gateway
    return Asterisk(
        root=cache_directory() / "asterisk-root",
        directory=site.directory / "asterisk",
        trunks_dir=gateway.config_dir,
        sentences_dir=site.settings.sentences_dir,
        sip_port=gateway.sip_port,
        tls_port=gateway.sip_tls_port,
        ari_port=site.ports["ari"],
        rtp_first=site.ports["rtp_first"],
        rtp_last=site.ports["rtp_last"],
        ari_user=gateway.ari_user,
        ari_password=gateway.ari_password.reveal(),
        ari_app=gateway.ari_app,
        bind_address=gateway.sip_host,
        external_address=gateway.external_address,
    )


def _prepare_gateway(site: Site) -> None:
    """The sentences are there before the first caller: the gateway speaks them when the bridge is away."""
    sentences.render(site.settings.sentences_dir)
    asterisk.write_config(_asterisk(site))


def _gateway_command(site: Site) -> list[str]:
    return asterisk.command(_asterisk(site))


def _gateway_probe(site: Site) -> Callable[[], None]:
    gateway = site.settings.gateway
    return probes.http(
        f"{gateway.ari_url}/ari/asterisk/info", auth=(gateway.ari_user, gateway.ari_password.reveal())
    )


PROGRAMS = (
    Part(
        name="asterisk",
        listens=("asterisk", "asterisk_tls", "ari"),
        niceness=ALL_CALLS,
        prepare=_prepare_gateway,
        command=_gateway_command,
        probe=_gateway_probe,
    ),
    Part(
        name="speech",
        listens=("speech",),
        command=_python("models.lite"),
        environment=lite_speech_environment,
        probe=lambda site: probes.kserve(
            f"127.0.0.1:{site.ports['speech']}",
            site.settings.speech.stt_model,
            site.settings.speech.tts_model,
        ),
    ),
    Part(
        name="dialogue",
        listens=("dialogue",),
        command=_python("models.llm.scripted"),
        probe=_ready("dialogue", "/health"),
    ),
    Part(
        name="tool_api",
        listens=("tool_api",),
        needs=("postgres",),
        niceness=AWAITED_BY_CALLS,
        command=_python("runtime.tool_api"),
        probe=_ready("tool_api"),
    ),
    Part(
        name="worker",
        listens=("worker",),
        needs=("livekit", "speech", "dialogue", "tool_api"),
        niceness=AWAITED_BY_CALLS,
        command=_python("runtime.agent"),
        probe=_ready("worker"),
        ready_seconds=240.0,
        stop_seconds=20,
    ),
    Part(
        name="bridge",
        listens=("bridge", "bridge_audiosocket"),
        needs=("asterisk", "livekit", "tool_api"),
        niceness=ALL_CALLS,
        command=_python("runtime.sip"),
        probe=_ready("bridge"),
    ),
    Part(
        name="jobs",
        listens=("jobs",),
        needs=("postgres", "minio", "tool_api"),
        command=_python("runtime.jobs"),
        probe=_ready("jobs"),
    ),
)

PARTS: dict[str, Part] = {part.name: part for part in (*SERVERS, *ENGINE_PARTS, *PROGRAMS, KEYCLOAK, CONSOLE)}
"""In the order of their start; they are stopped the other way round."""

CALL_PATH = tuple(name for name, part in PARTS.items() if part.of_call_path)
"""What a call needs."""
