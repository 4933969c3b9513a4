"""Backups that are authentic and whole, and that no box may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.backups.archive import ArchiveReader, ArchiveWriter
from appliance.backups.stream import SealedWriter, new_header


def that_cannot_be_restored(good: Path, passphrase: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """Authentic and whole, each of them, and the code of the error that it must meet."""
    parts: dict[str, bytes] = {}
    with good.open("rb") as file:
        reader = ArchiveReader(file, passphrase)
        for part, data in reader:
            parts[part] = parts.get(part, b"") + data
    header = new_header(reader.header.made_at, "1.0", "0016", scrypt_cost=2**10)
    dump = "database/trunkline.dump"
    half = parts[dump][: len(parts[dump]) // 2]
    more_calls = reader.manifest.rows | {"calls": reader.manifest.rows["calls"] + 1}
    cases: list[tuple[str, dict[str, bytes], dict[str, Any], str]] = [
        ("no-dump", parts | {dump: b"not a dump"}, {}, "unavailable"),
        ("half-a-dump", parts | {dump: half}, {}, "unavailable"),
        ("other-rows", parts, {"rows": more_calls}, "integrity"),
        ("newer", parts, {"schema_revision": "9999"}, "newer_release"),
        ("newer-server", parts, {"postgres": "99.1"}, "older_server"),
    ]
    for name, content, claims, code in cases:
        path = folder / f"{name}.tlbackup"
        with path.open("wb") as file:
            writer = ArchiveWriter(SealedWriter(file, passphrase, header))
            for part, data in content.items():
                writer.add(part, iter([data]))
            writer.finish(reader.manifest.model_copy(update={"parts": tuple(writer.parts), **claims}))
        yield path, code
