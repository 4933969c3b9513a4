"""What the box's own user of the S3 store may do, and what it may not."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from minio import Minio
from minio.commonconfig import GOVERNANCE
from minio.error import S3Error
from minio.retention import Retention

from provisioning.lite.box import Box


@pytest.fixture
def client(box: Box) -> Minio:
    box.start("minio")
    settings = box.settings.object_store
    return Minio(
        endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key.reveal(),
        secure=False,
        region=settings.region,
    )


def test_it_writes_reads_and_removes_recordings(client: Minio, box: Box) -> None:
    bucket = box.settings.object_store.bucket
    client.put_object(bucket_name=bucket, object_name="stack/one", data=io.BytesIO(b"sound"), length=5)
    answer = client.get_object(bucket_name=bucket, object_name="stack/one")
    try:
        assert answer.read() == b"sound"
    finally:
        answer.close()
        answer.release_conn()
    client.remove_object(bucket_name=bucket, object_name="stack/one")
    assert list(client.list_objects(bucket_name=bucket, prefix="stack/one")) == []


def test_it_may_not_make_a_bucket(client: Minio) -> None:
    with pytest.raises(S3Error) as caught:
        client.make_bucket(bucket_name="another")
    assert caught.value.code == "AccessDenied"


def test_it_may_not_shorten_a_retention(client: Minio, box: Box) -> None:
    """Nor remove a version that is retained."""
    bucket = box.settings.object_store.bucket
    until = datetime.now(UTC) + timedelta(minutes=30)
    written = client.put_object(
        bucket_name=bucket,
        object_name="stack/kept",
        data=io.BytesIO(b"sound"),
        length=5,
        retention=Retention(GOVERNANCE, until),
    )
    with pytest.raises(S3Error):
        client.set_object_retention(
            bucket_name=bucket,
            object_name="stack/kept",
            config=Retention(GOVERNANCE, datetime.now(UTC) + timedelta(seconds=30)),
            version_id=written.version_id,
        )
    with pytest.raises(S3Error):
        client.remove_object(bucket_name=bucket, object_name="stack/kept", version_id=written.version_id)


def test_provisioning_again_changes_nothing(client: Minio, box: Box) -> None:
    from provisioning.lite.object_store import provision_object_store

    provision_object_store(box.site)
    assert client.bucket_exists(bucket_name=box.settings.object_store.bucket)
