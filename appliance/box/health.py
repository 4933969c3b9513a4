"""Whether each part of the box answers, asked at most every few seconds and never for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from appliance.settings import Settings

PATIENCE_SECONDS = 2.0
KEPT_SECONDS = 5.0

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class PartHealth:
    name: str
    good: bool


class BoxHealth:
    """`look` gives what was seen lately, or looks anew, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False)
        self._checks = _checks(settings, self._http)
        self._looking = asyncio.Lock()
        self._seen: list[PartHealth] = []
        self._seen_at = -KEPT_SECONDS

    async def look(self) -> list[PartHealth]:
        async with self._looking:
            if time.monotonic() - self._seen_at > KEPT_SECONDS:
                answers = await asyncio.gather(*(_asked(check) for check in self._checks.values()))
                self._seen = [
                    PartHealth(name, good) for name, good in zip(self._checks, answers, strict=True)
                ]
                self._seen_at = time.monotonic()
            return self._seen

    async def close(self) -> None:
        await self._http.aclose()


async def _asked(check: Check) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await check()
    except (httpx.HTTPError, OSError, TimeoutError):
        return False


def _checks(settings: Settings, http: httpx.AsyncClient) -> Mapping[str, Check]:
    def answers(url: str) -> Check:
        async def check() -> bool:
            return (await http.get(url)).is_success

        return check

    def listens(address: str) -> Check:
        async def check() -> bool:
            host, _, port = address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return True

        return check

    language = urlsplit(settings.language.base_url)
    store = settings.object_store
    scheme = "https" if store.secure else "http"
    speech = dict.fromkeys((settings.speech.stt_address, settings.speech.tts_address))
    return {
        "SIP gateway": listens(urlsplit(settings.gateway.ari_url).netloc),
        "Bridge": answers(f"http://127.0.0.1:{settings.bridge.health_port}/health/ready"),
        "Rooms": answers(f"{settings.rooms.http_url}/"),
        "Agent worker": answers(f"http://127.0.0.1:{settings.worker.health_port}/health/ready"),
        **{f"Speech {number + 1}" if number else "Speech": listens(a) for number, a in enumerate(speech)},
        "Language": answers(f"{language.scheme}://{language.netloc}/health"),
        "Tool service": answers(f"{settings.tool_api.url}/health/ready"),
        "Jobs": answers(f"http://127.0.0.1:{settings.jobs.health_port}/health/ready"),
        "Recording store": answers(f"{scheme}://{store.endpoint}/minio/health/ready"),
        "Sign-in": answers(f"{settings.identity.reached_at}/protocol/openid-connect/certs"),
    }
