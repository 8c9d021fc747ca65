"""Proofs: pictures kept for the merchant to look at, and dropped again. They settle nothing."""

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

BATCH = 200
BATCHES_MAX = 50


def prepared(picture: BinaryIO) -> tuple[str, Proof]:
    """The SHA-256 of the file, and the picture drawn again. Raises as `make_proof` does."""
    digest = hashlib.sha256()
    left = PICTURE_BYTES_MAX + 1
    while left > 0 and (part := picture.read(min(left, 65_536))):
        digest.update(part)
        left -= len(part)
    picture.seek(0)
    return digest.hexdigest(), make_proof(picture)


def keep(txid: str, sha256: str, proof: Proof) -> tuple[Payment, RecoveryUpload, bool]:
    """Keep the picture with its payment; the same file again is the proof that is there.

    Gives the payment, the proof, and whether it is new. Raises PaymentNotFound, and TooManyProofs
    for the sixth of a payment. Outside a unit of work.
    """

    def insert(work: Work) -> tuple[Payment, RecoveryUpload, bool]:
        payment = work.payments.by_txid(txid)
        uploads = RecoveryUploads(work.session)
        there = uploads.of_payment(payment.id)
        same = next((one for one in there if one.sha256 == sha256), None)
        if same is not None:
            return payment, same, False
        taken = {one.number for one in there}
        free = [n for n in range(1, PROOFS_PER_PAYMENT_MAX + 1) if n not in taken]
        if not free:
            raise TooManyProofs(f"At most {PROOFS_PER_PAYMENT_MAX} proofs are kept of a payment.")
        # Two at once want the same number: the unique index lets one, the other begins again.
        uploads.insert(
            {
                "payment_id": payment.id,
                "merchant_id": payment.merchant_id,
                "number": free[0],
                "sha256": sha256,
                "picture": proof.data,
                "width": proof.width,
                "height": proof.height,
                "verdict": ProofVerdict.PENDING,
                "uploaded_at": work.now,
            }
        )
        made = next(one for one in uploads.of_payment(payment.id) if one.sha256 == sha256)
        return payment, made, True

    return in_unit_of_work(insert)


def forget_old_proofs(settings: Settings) -> int:
    """Drop what is older than PROOF_DAYS; gives how many. A bounded number at a time."""
    before = now() - timedelta(days=settings.proof_days)
    return _in_batches(lambda uploads, _work: uploads.delete_before(before, BATCH))


def forget_of_expired_sessions() -> int:
    """Drop the pictures of sessions that were not paid and no longer can be; gives how many."""
    return _in_batches(lambda uploads, work: uploads.delete_of_expired(work.now, BATCH))


def _in_batches(drop: Callable[[RecoveryUploads, Work], int]) -> int:
    dropped = 0
    for _ in range(BATCHES_MAX):
        batch = in_unit_of_work(lambda work: drop(RecoveryUploads(work.session), work))
        dropped += batch
        if batch < BATCH:
            break
    return dropped
