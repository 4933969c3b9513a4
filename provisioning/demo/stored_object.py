"""Looks at a recording as somebody would who can read the object store and has no key."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from appliance.clients.object_store import ObjectStore
from appliance.recordings.container import MAGIC
from appliance.settings import ObjectStoreSettings

_NOISE_BITS = 7.9
"""Bits of entropy per byte: ciphertext of some kilobytes has more, the sound of speech clearly less."""


@dataclass(frozen=True)
class SeenObject:
    sha256: str
    encrypted: bool
    """It is our container and its content cannot be told from noise."""


async def look_at(settings: ObjectStoreSettings, bucket: str, name: str) -> SeenObject:
    """Unavailable when the store is away, NotFound when the object is missing."""
    store = ObjectStore(settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        try:
            await store.download(bucket, name, path)
        finally:
            await store.close()
        data = await asyncio.to_thread(path.read_bytes)
    return SeenObject(sha256(data).hexdigest(), data.startswith(MAGIC) and entropy_bits(data) >= _NOISE_BITS)


def entropy_bits(data: bytes) -> float:
    """Shannon's entropy of the bytes, 0 to 8 bits."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256).astype(np.float64)
    shares = counts[counts > 0] / max(1, len(data))
    return float(-(shares * np.log2(shares)).sum())
