"""Store proofs, which are pictures for the merchant, and delete them. A proof settles nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import BinaryIO

from blueprints.recovery.reading import Proof, make_proof
from config import Settings
from core.errors import TooManyProofs
from core.pictures import PICTURE_BYTES_MAX
from db_models import Payment, ProofVerdict, RecoveryUpload
from db_models.recovery_upload import PROOFS_PER_PAYMENT_MAX
from repository.database import Work, in_unit_of_work, now
from repository.recovery_uploads import RecoveryUploads
from web.limits import client_network

BATCH = 200
BATCHES_MAX = 50


def prepare(picture: BinaryIO) -> tuple[str, Proof]:
    """The file's SHA-256, and the picture encoded anew. Raises what `make_proof` raises."""
    digest = hashlib.sha256()
    remaining = PICTURE_BYTES_MAX + 1
    while remaining > 0 and (part := picture.read(min(remaining, 65_536))):
        digest.update(part)
        remaining -= len(part)
    picture.seek(0)
    return digest.hexdigest(), make_proof(picture, owner=client_network())


def store(txid: str, sha256: str, proof: Proof) -> tuple[Payment, RecoveryUpload, bool]:
    """Store the proof with its payment; for the same file again, return the stored proof.

    Returns the payment, the proof, and whether the proof is new. Raises PaymentNotFound, and
    TooManyProofs for a payment that has PROOFS_PER_PAYMENT_MAX. Call outside a unit of work.
    """

    def insert(work: Work) -> tuple[Payment, RecoveryUpload, bool]:
        payment = work.payments.by_txid(txid)
        uploads = RecoveryUploads(work.session)
        earlier = uploads.of_payment(payment.id)
        duplicate = next((upload for upload in earlier if upload.sha256 == sha256), None)
        if duplicate is not None:
            return payment, duplicate, False
        used_numbers = {upload.number for upload in earlier}
        free_numbers = [n for n in range(1, PROOFS_PER_PAYMENT_MAX + 1) if n not in used_numbers]
        if not free_numbers:
            raise TooManyProofs(f"A payment can have at most {PROOFS_PER_PAYMENT_MAX} proofs.")
        # Two uploads at once choose the same number: the unique index admits one; the other
        # transaction is run again.
        uploads.insert(
            {
                "payment_id": payment.id,
                "merchant_id": payment.merchant_id,
                "number": free_numbers[0],
                "sha256": sha256,
                "picture": proof.data,
                "width": proof.width,
                "height": proof.height,
                "verdict": ProofVerdict.PENDING,
                "uploaded_at": work.now,
            }
        )
        new = next(u for u in uploads.of_payment(payment.id) if u.sha256 == sha256)
        return payment, new, True

    return in_unit_of_work(insert)


def forget_old_proofs(settings: Settings) -> int:
    """Delete proofs older than PROOF_DAYS, in batches; return how many."""
    before = now() - timedelta(days=settings.proof_days)
    return _in_batches(lambda uploads, _work: uploads.delete_before(before, BATCH))


def forget_proofs_of_expired_sessions() -> int:
    """Delete the proofs of sessions that expired or were cancelled; return how many."""
    return _in_batches(lambda uploads, work: uploads.delete_of_expired(work.now, BATCH))


def _in_batches(delete: Callable[[RecoveryUploads, Work], int]) -> int:
    deleted = 0
    for _ in range(BATCHES_MAX):
        batch = in_unit_of_work(lambda work: delete(RecoveryUploads(work.session), work))
        deleted += batch
        if batch < BATCH:
            break
    return deleted
