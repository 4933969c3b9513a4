"""The support bundle: one .tar.gz that tells how the box is, for whoever helps from outside."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import IO, Any

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.box import support_facts
from appliance.box.health import BoxHealth, PartHealth
from appliance.box.support_archive import Collected, Manifest, Sources, file_name, write
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import AtCapacity, Unavailable
from appliance.settings import Settings

MEDIA_TYPE = "application/gzip"
RETRY_AFTER_SECONDS = 10
_making = asyncio.Lock()


@dataclass(frozen=True)
class Made:
    """A bundle in a temporary file that is gone when it is closed."""

    name: str
    size: int
    sha256: str
    manifest: Manifest
    file: IO[bytes]


async def download(
    box: Callable[[], UnitOfWork], actor: Actor, settings: Settings, health: BoxHealth
) -> Made:
    """For an operator; written into the box's log. One at a time: AtCapacity while another is made."""
    actor.must(Right.BOX_WRITE)
    if _making.locked():
        raise AtCapacity("A support bundle is being made already.", retry_after_seconds=RETRY_AFTER_SECONDS)
    async with _making:
        made = await make_in_temporary_file(Sources.of(settings, "the console"), health.look)
    after = {
        "name": made.name,
        "bytes": made.size,
        "sha256": made.sha256,
        "not_read": [*made.manifest.not_read],
    }
    try:
        async with box() as uow:
            await audit.record(uow, actor, "box.support_bundle", "box:support-bundle", after=after)
    except BaseException:
        made.file.close()
        raise
    return made


async def make_in_temporary_file(
    sources: Sources, health: Callable[[], Awaitable[list[PartHealth]]] | None = None
) -> Made:
    """As `make`; the caller closes the file."""
    at = datetime.now(UTC)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    try:
        manifest = await make(sources, file, at, health)
        size = file.tell()
        file.seek(0)
        digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Made(file_name(at), size, digest.hexdigest(), manifest, file)


async def make(
    sources: Sources,
    target: IO[bytes],
    at: datetime,
    health: Callable[[], Awaitable[list[PartHealth]]] | None = None,
) -> Manifest:
    """Writes the bundle to `target`. `health` asks the parts; None: asks them anew."""
    collected = await _collect(sources, health)
    return await asyncio.to_thread(write, sources, collected, target, at)


async def _collect(sources: Sources, health: Callable[[], Awaitable[list[PartHealth]]] | None) -> Collected:
    """What must be asked for: of the running parts, side by side."""
    collected, settings = Collected(), sources.settings
    versions: dict[str, Any] = {}

    async def ask(name: str, into: dict[str, Any], key: str, answer: Callable[[], Awaitable[Any]]) -> None:
        try:
            if settings is None:
                raise Unavailable("the settings cannot be read")
            into[key] = await answer()
        except Exception as error:  # whatever is wrong with a part belongs into the manifest
            collected.refuse(name, error)

    def of_settings(function: Callable[[Settings], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        async def answer() -> Any:
            assert settings is not None
            return await function(settings)

        return answer

    async def installed(settings: Settings) -> Any:
        return await asyncio.to_thread(support_facts.installed_versions, settings)

    async def of_parts(settings: Settings) -> Any:
        return [asdict(part) for part in (await health() if health else await _look(settings))]

    asked = {
        "installed": installed,
        "asterisk": support_facts.gateway_version,
        "redis": support_facts.redis_version,
        "language": support_facts.language_version,
    }
    documents = collected.documents
    await asyncio.gather(
        ask("health.json", documents, "health.json", of_settings(of_parts)),
        ask("database.json", documents, "database.json", of_settings(support_facts.database)),
        *(ask(f"versions.json: {name}", versions, name, of_settings(each)) for name, each in asked.items()),
    )
    running = documents.get("database.json", {}).get("server")
    documents["versions.json"] = support_facts.own_versions(settings) | versions | {"postgresql": running}
    return collected


async def _look(settings: Settings) -> list[PartHealth]:
    health = BoxHealth(settings)
    try:
        return await health.look()
    finally:
        await health.close()
