"""MinIO's bucket, and a user of the box's own that may do with it what the box does, and no more."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import tenacity
import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException
from minio.minioadmin import MinioAdmin
from urllib3.exceptions import HTTPError

from appliance.errors import Unavailable
from appliance.settings import ObjectStoreSettings
from provisioning.lite.part import Site
from provisioning.lite.settings_file import read_secret

ROOT_USER = "trunkline-root"
_POLICY = "trunkline-recordings"


def recordings_policy(bucket: str) -> dict[str, object]:
    """No bypass of retention, no change of the bucket's rules, nothing outside the bucket."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:ListBucket",
                    "s3:GetBucketLocation",
                    "s3:GetBucketObjectLockConfiguration",
                    "s3:ListBucketMultipartUploads",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObjectRetention",
                    "s3:GetObjectRetention",
                    "s3:PutObjectLegalHold",
                    "s3:GetObjectLegalHold",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            },
        ],
    }


def provision_object_store(site: Site) -> None:
    """Makes the bucket (with object lock, which cannot be added later), the user and its policy."""
    settings = site.settings.object_store
    password = read_secret(site.directory, "minio_root_password")
    transport = urllib3.PoolManager(timeout=urllib3.Timeout(10.0), retries=urllib3.Retry(2))
    client = Minio(
        endpoint=settings.endpoint,
        access_key=ROOT_USER,
        secret_key=password,
        secure=settings.secure,
        region=settings.region,
        http_client=transport,
    )
    admin = MinioAdmin(
        endpoint=settings.endpoint,
        credentials=StaticProvider(ROOT_USER, password),
        region=settings.region,
        secure=settings.secure,
        http_client=transport,
    )
    try:
        _provision(client, admin, settings)
    except (MinioException, MinioAdminException, HTTPError) as error:
        raise Unavailable(
            f"The object store does not let itself be set up ({type(error).__name__}).",
            remedy="Read its log, and start the box again.",
        ) from error


# The store says it is ready a moment before its locks and users are: it answers 503 until then.
@tenacity.retry(
    retry=tenacity.retry_if_exception_type((MinioException, MinioAdminException, HTTPError)),
    wait=tenacity.wait_exponential(multiplier=0.2, max=2),
    stop=tenacity.stop_after_delay(60),
    reraise=True,
)
def _provision(client: Minio, admin: MinioAdmin, settings: ObjectStoreSettings) -> None:
    """Each step may be repeated: what is there already stays as it is."""
    if not client.bucket_exists(bucket_name=settings.bucket):
        client.make_bucket(bucket_name=settings.bucket, object_lock=True)
    admin.user_add(access_key=settings.access_key, secret_key=settings.secret_key.reveal())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.json"
        file.write_text(json.dumps(recordings_policy(settings.bucket)), encoding="utf-8")
        admin.policy_add(policy_name=_POLICY, policy_file=str(file))
    admin.policy_set(policy_name=_POLICY, user=settings.access_key)
