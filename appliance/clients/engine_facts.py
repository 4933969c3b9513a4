"""What a real engine tells of itself: engine, version, model, sha256 (docs/architecture.md, contract 7)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx

from appliance.clients import kserve
from appliance.errors import Unavailable

FACTS_PARAMETER = "TRUNKLINE"


def speech_facts(address: str, model: str, *, timeout_seconds: float = 10.0) -> dict[str, Any]:
    """Of a model behind Triton or the voice server. Raises Unavailable."""
    try:
        with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            stub = kserve.services.GRPCInferenceServiceStub(channel)
            request = kserve.messages.ModelConfigRequest(name=model)
            answer = stub.ModelConfig(request, timeout=timeout_seconds)
    except grpc.RpcError as error:
        raise Unavailable(f"{model} at {address} does not tell what it is.") from error
    return _object(answer.config.parameters[FACTS_PARAMETER].string_value, model)


def language_facts(base_url: str, *, timeout_seconds: float = 10.0) -> dict[str, Any]:
    """Of vLLM behind our admission; `base_url` as in the settings. Raises Unavailable."""
    return _object(_get(base_url, "/version", timeout_seconds), "The language server")


def language_metrics(base_url: str, *, timeout_seconds: float = 10.0) -> str:
    """Its counters, in Prometheus' text form. Raises Unavailable."""
    return _get(base_url, "/metrics", timeout_seconds)


def _get(base_url: str, path: str, timeout_seconds: float) -> str:
    parts = urlsplit(base_url)
    url = f"{parts.scheme}://{parts.netloc}{path}"
    try:
        answer = httpx.get(url, timeout=timeout_seconds, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"The language server at {parts.netloc} does not tell what it is.") from error
    return answer.text


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise Unavailable(f"{what} does not tell what it is.") from error
    if not isinstance(tree, dict):
        raise Unavailable(f"{what} does not tell what it is.")
    return tree
