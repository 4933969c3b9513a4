"""The command line and the environment of vLLM for one model on one device. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from models.llm.vllm.profiles import LaunchProfile
from models.offline import OFFLINE
from models.opened import OpenedModel

LIMITS_VARIABLE = "TRUNKLINE_LANGUAGE_LIMITS"
MIDDLEWARE = "models.llm.vllm.middleware.Admission"
DRAIN_SECONDS = 8


@dataclass(frozen=True)
class Limits:
    """What the middleware inside vLLM's web server is told, as JSON in its environment."""

    model: str
    sha256: str
    max_requests: int
    live_reserve: int
    max_tokens: int
    warm_up_key: str
    """Requests before readiness must show it."""
    drain_file: str
    """Exists once the server is told to stop: nothing new is taken then."""
    max_body_bytes: int = 1024 * 1024

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Limits:
        return cls(**json.loads(text))


def command(
    vllm: Path, opened: OpenedModel, profile: LaunchProfile, host: str, port: int, *, alias: str = ""
) -> list[str]:
    """`vllm serve` for the verified folder of the model, which answers to its name and to `alias`."""
    options = {key: str(value) for key, value in opened.profile.options.items()}
    context = min(profile.max_model_len, opened.profile.context_tokens or profile.max_model_len)
    line = [str(vllm), "serve", str(opened.folder)]
    line += ["--served-model-name", *dict.fromkeys((opened.name, alias or opened.name))]
    line += ["--host", host, "--port", str(port)]
    line += ["--dtype", options.get("dtype", "auto")]
    line += ["--max-model-len", str(context), "--max-num-seqs", str(profile.max_num_seqs)]
    line += ["--max-num-batched-tokens", str(max(profile.max_num_batched_tokens, context))]
    line += ["--enable-prefix-caching", "--enable-chunked-prefill", "--scheduling-policy", "priority"]
    line += ["--enable-auto-tool-choice", "--tool-call-parser", options.get("tool_call_parser", "hermes")]
    line += ["--tool-strict-level", "parameter", "--middleware", MIDDLEWARE]
    line += ["--shutdown-timeout", str(DRAIN_SECONDS), "--disable-uvicorn-access-log"]
    if quantization := options.get("quantization"):
        line += ["--quantization", quantization]
    if profile.enforce_eager:
        line.append("--enforce-eager")
    if profile.device == "cuda":
        line += ["--gpu-memory-utilization", f"{profile.gpu_memory_utilization:g}"]
    return line


def environment(
    base: Mapping[str, str], profile: LaunchProfile, limits: Limits, repository: Path
) -> dict[str, str]:
    """The process' environment: offline, our code in reach, and what the device needs."""
    added = {
        **OFFLINE,
        LIMITS_VARIABLE: limits.to_json(),
        "PYTHONPATH": str(repository),
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOGGING_PREFIX": "",
    }
    if profile.device == "cpu":
        added |= {
            "VLLM_CPU_KVCACHE_SPACE": str(profile.kv_cache_gib),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "TORCHDYNAMO_DISABLE": "1",
            "GOMP_SPINCOUNT": "0",
            "OMP_NUM_THREADS": base.get("OMP_NUM_THREADS", "2"),
        }
    return {**base, **added}
