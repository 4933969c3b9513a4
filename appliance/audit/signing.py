"""Signed heads: what the chain was at some moment, by a key that does not lie in the database.

Whoever has every right in the database can write a chain anew; a head that was signed before then does not
fit any more (`docs/adr/0170-signed-heads.md`). The key is made with the box's secrets and never leaves them;
its public half verifies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from appliance.audit.domain import BOX_CHAIN, Flaw
from appliance.audit.tables import AuditHead, AuditSignature
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput
from appliance.settings import SecuritySettings

SIGN_AFTER_ENTRIES = 100
SIGN_AFTER = timedelta(days=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SignedHead:
    chain: UUID
    sequence: int
    hash: str
    signed_at: datetime

    @property
    def message(self) -> bytes:
        """What is signed."""
        at = self.signed_at.astimezone(UTC).isoformat(timespec="microseconds")
        return f"trunkline audit head\n{self.chain}\n{self.sequence}\n{self.hash}\n{at}\n".encode()


class HeadSigner:
    """An Ed25519 key (RFC 8032) of the box. `key_id` is the beginning of its public half's SHA-256."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(self.public).hexdigest()[:16]

    @classmethod
    def from_settings(cls, settings: SecuritySettings) -> HeadSigner | None:
        """None where the site has no such key. InvalidInput when it is not 32 bytes."""
        if settings.audit_key is None:
            return None
        text = settings.audit_key.reveal()
        try:
            return cls(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(
                "The key that signs the audit log is not 32 bytes in base64.",
                field="security.audit_key",
                remedy=f"Check {settings.audit_key.file}.",
            ) from error

    def sign(self, head: SignedHead) -> bytes:
        return self._key.sign(head.message)

    def holds(self, head: SignedHead, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, head.message)
        except InvalidSignature:
            return False
        return True


async def sign_when_due(uow: UnitOfWork, signer: HeadSigner, now: datetime) -> SignedHead | None:
    """Signs the head of the unit of work's chain after so many new entries, or a day after the last time.

    Returns what was signed. The head also goes into the log, so that it can be kept on another machine.
    """
    chain = uow.organization_id or BOX_CHAIN
    found = await uow.session.get(AuditHead, chain, populate_existing=True)
    last = await uow.session.scalar(
        select(AuditSignature)
        .where(AuditSignature.chain == chain)
        .order_by(AuditSignature.sequence.desc())
        .limit(1)
    )
    done = last.sequence if last is not None else 0
    if found is None or found.sequence <= done:
        return None
    if last is not None and found.sequence - done < SIGN_AFTER_ENTRIES and now - last.signed_at < SIGN_AFTER:
        return None
    head = SignedHead(chain, found.sequence, found.hash, now)
    signature = signer.sign(head)
    uow.session.add(
        AuditSignature(
            id=uuid7(),
            chain=chain,
            sequence=head.sequence,
            hash=head.hash,
            signed_at=now,
            key_id=signer.key_id,
            signature=signature,
        )
    )
    await uow.session.flush()
    _log.info(
        "audit head signed",
        chain=str(chain),
        sequence=head.sequence,
        hash=head.hash,
        key_id=signer.key_id,
        signature=base64.b64encode(signature).decode(),
    )
    return head


class SignatureCheck:
    """Compares the entries of a chain, fed in their order, with the heads that were signed."""

    def __init__(self, signatures: list[AuditSignature], signer: HeadSigner | None) -> None:
        self._open = {row.sequence: row for row in signatures}
        self._signer = signer
        self.signed = len(signatures)
        self.newest = max(signatures, key=lambda row: row.sequence, default=None)
        self._flaw: Flaw | None = next(
            (flaw for row in signatures if (flaw := self._of_signature(row)) is not None), None
        )

    def feed(self, sequence: int, entry_hash: str) -> None:
        row = self._open.pop(sequence, None)
        if row is not None and row.hash != entry_hash and self._flaw is None:
            self._flaw = Flaw(
                sequence, "The entry is not the one that was signed: the chain was written anew."
            )

    @property
    def flaw(self) -> Flaw | None:
        """The first one, once all entries were fed."""
        if self._flaw is None and self._open:
            sequence = min(self._open)
            return Flaw(sequence, "An entry that was signed is missing.")
        return self._flaw

    def _of_signature(self, row: AuditSignature) -> Flaw | None:
        if self._signer is None or row.key_id != self._signer.key_id:
            return None  # of a key before this one: its hash still counts
        head = SignedHead(row.chain, row.sequence, row.hash, row.signed_at)
        if self._signer.holds(head, row.signature):
            return None
        return Flaw(row.sequence, "The signature of this head does not hold.")
