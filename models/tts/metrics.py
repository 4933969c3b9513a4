"""What the voice server counts, and its health: `/metrics`, `/health/live`, `/health/ready` over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from typing_extensions import override

_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.09, 0.15, 0.25, 0.5, 1, 2, 4, 8)


class Metrics:
    """Counters in a registry of their own, so that several servers may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix, registry = "trunkline_voice", self.registry
        self.requests = Counter(f"{prefix}_requests", "Sentences by outcome.", ["outcome"], registry=registry)
        self.streams = Gauge(f"{prefix}_streams", "Sentences being spoken.", registry=registry)
        self.queue = Gauge(f"{prefix}_queue", "Clauses that wait for the engine.", registry=registry)
        self.batch = Histogram(
            f"{prefix}_batch_size", "Clauses made at once.", buckets=(1, 2, 3, 4, 6, 8), registry=registry
        )
        self.stages = Histogram(
            f"{prefix}_stage_seconds",
            "prepare: text to symbols; wait: in the queue; render: the engine; first_audio: all of it.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.audio_seconds = Counter(f"{prefix}_audio_seconds", "Sound sent.", registry=registry)
        self.cache = Counter(f"{prefix}_cache", "Clauses found ready or not.", ["found"], registry=registry)
        self.cache_bytes = Gauge(f"{prefix}_cache_bytes", "Sound kept ready.", registry=registry)
        self.memory_mib = Gauge(
            f"{prefix}_memory_mib", "The model on its device; the process on a CPU.", registry=registry
        )

    def stage(self, name: str, seconds: float) -> None:
        self.stages.labels(name).observe(seconds)


class _Quiet(WSGIRequestHandler):
    timeout = 5

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def serve_health(port: int, metrics: Metrics, parts: Callable[[], dict[str, bool]]) -> WSGIServer:
    """Serves on loopback in a thread of its own; `shutdown()` and `server_close()` end it."""
    scrape = make_wsgi_app(metrics.registry)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return scrape(environ, start_response)
        if path not in {"/health/live", "/health/ready"}:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not here\n"]
        found = parts()
        ready = all(found.values())
        good = ready or path == "/health/live"
        start_response(
            "200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")]
        )
        return [json.dumps({"ready": ready, "parts": found}).encode()]

    server = make_server("127.0.0.1", port, app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
