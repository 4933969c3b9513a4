"""Reports of ended calls that the tool API did not take: they wait encrypted on the disk for the jobs worker.

A report is sealed with a key derived from the data key of the call's recording, which the worker holds
anyway: it needs no key of the box. The jobs worker gets that data key again from the recording's row.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import ValidationError

from appliance.calls.domain import Finish, RecordingGrant
from appliance.errors import IntegrityError, Unavailable
from appliance.security.sealing import KEY_BYTES, seal, unseal

SUFFIX = ".json.enc"
_MAGIC = b"TRKREP01\n"


@dataclass(frozen=True)
class SpooledReport:
    """A report as it lies on the disk; `read_report` opens it."""

    call_id: UUID
    attempt: int
    organization_id: UUID
    recording_id: UUID
    sealed: bytes


def report_folder(spool_dir: Path) -> Path:
    """The folder of the reports, made if it is missing; readable by its owner alone."""
    folder = spool_dir / "reports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def write_report(spool_dir: Path, grant: RecordingGrant, call_id: UUID, attempt: int, finish: Finish) -> Path:
    """Keeps a report until it can be delivered; a later one of the same attempt replaces it.

    Returns when it is safely on the disk. Unavailable if the disk does not take it.
    """
    head = {
        "call_id": str(call_id),
        "attempt": attempt,
        "organization_id": str(grant.organization_id),
        "recording_id": str(grant.recording_id),
    }
    sealed = seal(
        _report_key(b64decode(grant.data_key)), finish.model_dump_json().encode(), _place(call_id, attempt)
    )
    content = _MAGIC + json.dumps(head, sort_keys=True).encode() + b"\n" + b64encode(sealed)
    try:
        path = report_folder(spool_dir) / f"{call_id}-{attempt}{SUFFIX}"
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
        with open(os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise Unavailable(
            f"The report of the call {call_id} cannot be spooled: {error.strerror}.",
            remedy="Look at the disk of the spool (spool_dir).",
        ) from error
    return path


def waiting_reports(spool_dir: Path) -> list[Path]:
    """The reports that wait, the oldest call first."""
    return sorted(report_folder(spool_dir).glob(f"*{SUFFIX}"))


def load_report(path: Path) -> SpooledReport:
    """The report, still sealed. IntegrityError if the file is none; OSError if it cannot be read."""
    content = path.read_bytes()
    head, _, body = content.removeprefix(_MAGIC).partition(b"\n")
    try:
        if not content.startswith(_MAGIC):
            raise ValueError("no magic")
        fields = json.loads(head)
        return SpooledReport(
            call_id=UUID(fields["call_id"]),
            attempt=int(fields["attempt"]),
            organization_id=UUID(fields["organization_id"]),
            recording_id=UUID(fields["recording_id"]),
            sealed=b64decode(body, validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"The spooled report {path.name} is damaged.") from error


def read_report(report: SpooledReport, data_key: bytes) -> Finish:
    """The report in plain. IntegrityError if it was altered, moved, or the key is another one."""
    plain = unseal(_report_key(data_key), report.sealed, _place(report.call_id, report.attempt))
    try:
        return Finish.model_validate_json(plain)
    except ValidationError as error:
        raise IntegrityError(f"The report of the call {report.call_id} has another form.") from error


def _report_key(data_key: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"trunkline/1/call report").derive(data_key)


def _place(call_id: UUID, attempt: int) -> bytes:
    return b"call report\x00" + call_id.bytes + attempt.to_bytes(4, "big")
