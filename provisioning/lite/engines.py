"""The real engines as parts of the box (docs/architecture.md, contract 7): Triton, the voice, vLLM.

The scripted dialogue engine stays as the fallback of the language client. A site adds its own models by
`appliance models add`; for a role without one the project's tiny model is added in the same way, so that the
box runs anywhere. The tiny voice has random weights and speaks noise: as long as no other voice was added,
callers hear the lite speech server's, and the voice part runs beside it (docs/adr/0112).
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from appliance.errors import Unavailable
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite import probes
from provisioning.lite.cache import REPOSITORY, cache_directory
from provisioning.lite.part import Part, Site
from provisioning.lite.ports import Ports

Engines = Literal["lite", "real"]
ENGINES_VARIABLE = "TRUNKLINE_ENGINES"
"""Names the folder of the environments to the parts."""
LITE_PART = "speech"
TINY_VOICE = "demo-voice"
CHAT_ALIAS = "receptionist"
"""The name by which the box asks for its language model, whichever it is."""
_ADD_SECONDS = 120
_BUILD_SECONDS = 900
_READY_SECONDS = 900.0
_SETUP = "Run `make setup-engines`."


@dataclass(frozen=True)
class TinyModel:
    """`place` is kept in the repository; with `build`, it is made there (in the cache) when it is missing."""

    role: str
    profile: str
    place: Callable[[], Path]
    build: Callable[[Path], list[str]] | None = None


def _in_repository(*names: str) -> Callable[[], Path]:
    return lambda: REPOSITORY.joinpath("tests", "models", *names)


def _build_voice(place: Path) -> list[str]:
    script = REPOSITORY / "tests" / "models" / "voice" / "build.py"
    return [str(interpreter("speech")), str(script), "vits", str(place)]


TINY_MODELS = (
    TinyModel("stt", "demo-recogniser", _in_repository("recogniser", "recogniser.nemo")),
    TinyModel("llm", "demo-chat", _in_repository("chat", "model")),
    TinyModel("tts", TINY_VOICE, lambda: cache_directory() / "models" / "demo-voice", _build_voice),
)


def interpreter(environment: str) -> Path:
    """Python of an engine environment. Raises Unavailable when it is not set up."""
    python = cache_directory() / "engines" / environment / "bin" / "python"
    if not python.exists():
        raise Unavailable(f"The {environment} environment is not installed.", remedy=_SETUP)
    return python


def manifest_file(directory: Path) -> Path:
    return directory / "models" / "manifest.yaml"


def has_trained_voice(directory: Path) -> bool:
    """Has the site added a voice that one can listen to?"""
    try:
        added = yaml.safe_load(manifest_file(directory).read_text(encoding="utf-8")) or {}
    except OSError:
        return False
    catalog = yaml.safe_load((REPOSITORY / "models" / "catalog.yaml").read_text(encoding="utf-8"))
    voices = {entry["name"] for entry in catalog["profiles"] if entry["role"] == "tts"} - {TINY_VOICE}
    return any(model["profile"] in voices for model in added.get("models") or ())


def settings_file_of(site: Site, part: str) -> Path:
    """The settings of a speech server with an address of its own, beside the one that callers are given."""
    return site.settings_file.with_name(f"settings-{part}.yaml")


def write_own_settings(site: Site, part: str) -> None:
    """The box's settings, with the part's own port as both addresses of speech."""
    tree = yaml.safe_load(site.settings_file.read_text(encoding="utf-8"))
    address = f"127.0.0.1:{site.ports[part]}"
    tree["speech"] = {**tree["speech"], "stt_address": address, "tts_address": address}
    path = settings_file_of(site, part)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def settings_of(directory: Path, ports: Ports) -> dict[str, Any]:
    """What the real engines change in the settings."""
    return {
        "speech": {
            "stt_address": f"127.0.0.1:{ports['triton']}",
            "tts_address": f"127.0.0.1:{ports['voice' if has_trained_voice(directory) else LITE_PART]}",
        },
        "language": {
            "base_url": f"http://127.0.0.1:{ports['language']}/v1",
            "model": CHAT_ALIAS,
            "fallback_base_url": f"http://127.0.0.1:{ports['dialogue']}/v1",
            # Two processors may be shared by all three engines, so the model gets longer than on a GPU. And
            # the tiny one knows its own calls alone: after an answer of the fallback it is lost.
            "hedge_after_seconds": 4.0,
            "first_token_timeout_seconds": 10.0,
        },
        "engines": {
            "manifest": str(manifest_file(directory)),
            "triton_http_port": ports["triton_http"],
            "triton_metrics_port": ports["triton_metrics"],
            "voice_health_port": ports["voice_health"],
        },
    }


def add_model(site: Site, role: str) -> None:
    """Adds the role's tiny model if the site has none of its own. Changes nothing the second time.

    Raises Unavailable with what the command line said when the model is refused.
    """
    model = next(model for model in TINY_MODELS if model.role == role)
    manifest = manifest_file(site.directory)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with (manifest.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the three parts are prepared side by side
        listed = json.loads(_appliance("models", "list", "--json", "--manifest", str(manifest)))
        if not any(row["added_as"] for row in listed if row["role"] == role):
            place = _made(model)
            _appliance("models", "add", model.profile, str(place), "--manifest", str(manifest))


def _made(model: TinyModel) -> Path:
    place = model.place()
    if model.build is not None and not (place / "config.json").exists():
        beside = place.with_name(f"{place.name}.building")
        shutil.rmtree(beside, ignore_errors=True)
        beside.parent.mkdir(parents=True, exist_ok=True)
        _run(model.build(beside), f"Making {model.profile}", _BUILD_SECONDS)
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)  # whole, or not there
    return place


def _appliance(*arguments: str) -> str:
    program = str(Path(sys.executable).with_name("appliance"))
    return _run([program, *arguments], f"appliance {arguments[0]} {arguments[1]}", _ADD_SECONDS)


def _run(command: list[str], what: str, timeout_seconds: float) -> str:
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{what} failed: {error}.", remedy=_SETUP) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-400:]
        raise Unavailable(f"{what} failed: {said}", remedy=_SETUP)
    return done.stdout


def _environment(site: Site) -> Mapping[str, str]:
    return {
        SETTINGS_VARIABLE: str(site.settings_file),
        ENGINES_VARIABLE: str(cache_directory() / "engines"),
        "PYTHONPATH": str(REPOSITORY),
    }


def _language_probe(site: Site) -> Callable[[], None]:
    return probes.http(f"http://127.0.0.1:{site.ports['language']}/health")


def _prepare_voice(site: Site) -> None:
    add_model(site, "tts")
    write_own_settings(site, "voice")


def lite_speech_environment(site: Site) -> Mapping[str, str]:
    """Beside Triton the lite speech server listens at its own port; without it, where the settings say."""
    if site.engines == "lite":
        return {}
    write_own_settings(site, LITE_PART)
    return {SETTINGS_VARIABLE: str(settings_file_of(site, LITE_PART))}


ENGINE_PARTS = (
    Part(
        name="triton",
        listens=("triton", "triton_http", "triton_metrics"),
        of_call_path=False,
        prepare=lambda site: add_model(site, "stt"),
        command=lambda _site: [sys.executable, "-m", "models.triton"],
        environment=_environment,
        probe=lambda site: probes.kserve(site.settings.speech.stt_address, site.settings.speech.stt_model),
        ready_seconds=_READY_SECONDS,
        stop_seconds=20,
    ),
    Part(
        name="voice",
        listens=("voice", "voice_health"),
        of_call_path=False,
        prepare=_prepare_voice,
        command=lambda _site: [str(interpreter("speech")), "-m", "models.tts"],
        environment=lambda site: {
            **_environment(site),
            SETTINGS_VARIABLE: str(settings_file_of(site, "voice")),
        },
        probe=lambda site: probes.kserve(f"127.0.0.1:{site.ports['voice']}", site.settings.speech.tts_model),
        ready_seconds=_READY_SECONDS,
    ),
    Part(
        name="language",
        listens=("language",),
        of_call_path=False,
        prepare=lambda site: add_model(site, "llm"),
        command=lambda _site: [str(interpreter("language")), "-m", "models.llm.vllm"],
        environment=_environment,
        probe=_language_probe,
        ready_seconds=_READY_SECONDS,
        stop_seconds=20,
    ),
)
NAMES = tuple(part.name for part in ENGINE_PARTS)


def chosen(names: tuple[str, ...], engines: Engines) -> tuple[str, ...]:
    """The parts, with the real engines where the box has them."""
    if engines == "lite" or LITE_PART not in names:
        return names
    at = names.index(LITE_PART)
    return (*names[:at], *NAMES, *names[at:])
