"""The S3 store. Any that speaks plain S3; nothing of one maker is used.

The SDK blocks, so every call runs in a thread; connections and reads have the settings' time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import BinaryIO, TypeVar, cast

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError
from urllib3.util import Retry, Timeout

from appliance.errors import NotAllowed, NotFound, TrunklineError, Unavailable
from appliance.settings import ObjectStoreSettings

_T = TypeVar("_T")
_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion"})
_REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """What lies in the store: the digest (hex) and size of its bytes as they were read back."""

    sha256: str
    size_bytes: int


class ObjectStore:
    """Objects of one store. Raises Unavailable when it is away or too slow, NotFound for a missing object or
    bucket, NotAllowed for wrong credentials."""

    def __init__(self, settings: ObjectStoreSettings) -> None:
        self._part_size = settings.part_size_bytes
        self._pool = urllib3.PoolManager(
            timeout=Timeout(connect=min(5.0, settings.timeout_seconds), read=settings.timeout_seconds),
            retries=Retry(total=0),
            maxsize=8,
        )
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key.reveal(),
            secure=settings.secure,
            region=settings.region,
            http_client=self._pool,
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.clear)

    async def upload(self, bucket: str, name: str, path: Path) -> None:
        """Stores a file, in parts of `part_size_bytes`; after a failure its parts are taken back."""
        await self._run(lambda stop: self._upload(bucket, name, path, stop), f"The upload of {name}")

    async def read_back(self, bucket: str, name: str) -> StoredObject:
        """Reads the whole object and measures it: what the store says of it is not asked."""
        return await self._run(lambda stop: self._measure(bucket, name, stop), f"Reading {name} back")

    async def download(self, bucket: str, name: str, path: Path) -> None:
        """Writes the object into a file. NotFound if there is none."""

        def fetch(stop: Event) -> None:
            with path.open("wb") as file:
                for block in self._blocks(bucket, name, stop):
                    file.write(block)

        await self._run(fetch, f"The download of {name}")

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the store answers and knows the bucket."""
        return await self._run(
            lambda _stop: self._client.bucket_exists(bucket_name=bucket), f"The bucket {bucket}"
        )

    async def _run(self, work: Callable[[Event], _T], what: str) -> _T:
        """Runs it in a thread, which soon stops too when the caller is cancelled."""
        stop = Event()
        try:
            return await asyncio.to_thread(_translated, lambda: work(stop), what)
        finally:
            stop.set()

    def _upload(self, bucket: str, name: str, path: Path, stop: Event) -> None:
        with path.open("rb") as file:
            self._client.put_object(
                bucket_name=bucket,
                object_name=name,
                data=cast("BinaryIO", _Stoppable(file, stop)),
                length=path.stat().st_size,
                content_type="application/octet-stream",
                part_size=self._part_size,
                num_parallel_uploads=1,
            )

    def _measure(self, bucket: str, name: str, stop: Event) -> StoredObject:
        digest, size = sha256(), 0
        for block in self._blocks(bucket, name, stop):
            digest.update(block)
            size += len(block)
        return StoredObject(digest.hexdigest(), size)

    def _blocks(self, bucket: str, name: str, stop: Event) -> Iterator[bytes]:
        response = self._client.get_object(bucket_name=bucket, object_name=name)
        try:
            for block in response.stream(_READ_BYTES):
                _check(stop)
                yield block
        finally:
            response.close()
            response.release_conn()


class _Stoppable:
    """A file that cannot be read on once nobody waits for it any more."""

    def __init__(self, file: BinaryIO, stop: Event) -> None:
        self._file = file
        self._stop = stop

    def read(self, size: int = -1) -> bytes:
        _check(self._stop)
        return self._file.read(size)


def _check(stop: Event) -> None:
    if stop.is_set():
        raise ConnectionError("nobody waits for it any more")


def _translated(work: Callable[[], _T], what: str) -> _T:
    try:
        return work()
    except S3Error as error:
        raise _meaning(error, what) from error
    except (MinioException, HTTPError, ConnectionError, TimeoutError) as error:
        raise Unavailable(
            f"{what} failed: the object store does not answer.", remedy="It is tried again."
        ) from error


def _meaning(error: S3Error, what: str) -> TrunklineError:
    code = error.code or ""
    if code in _MISSING:
        return NotFound(f"{what} failed: it is not in the object store ({code}).")
    if code in _REFUSED:
        return NotAllowed(f"{what} failed: the object store refused it ({code}).")
    return Unavailable(f"{what} failed: the object store answered {code}.", remedy="It is tried again.")
