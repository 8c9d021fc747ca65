"""From what was read to the payment it speaks of, or to none: never to one that only resembles it.

Every clue is an unguessable value that stands in the text whole; what else the text says must not
contradict the payment that was found by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blueprints.recovery.reading import Kind, Reading
from core.pix import br_code
from core.pix.br_code import BrCodeError
from db_models import Payment
from repository.database import Work
from repository.recovery_lookups import RecoveryLookups

READINGS_MAX = 8
"""Codes of one picture that are looked up; a picture of more is somebody's joke."""


@dataclass(frozen=True)
class Found:
    """A payment, and the text that speaks of it."""

    payment: Payment
    reading: Reading


def find(work: Work, readings: Sequence[Reading]) -> Found | None:
    """The payment of the first text that has one; texts that may be ours stand before others."""
    for reading in readings[:READINGS_MAX]:
        payment = _payment_of(work, reading)
        if payment is not None:
            return Found(payment, reading)
    return None


def _payment_of(work: Work, reading: Reading) -> Payment | None:
    payment = _by_clue(work, reading)
    if payment is None or reading.contradicts(payment.order_id, payment.amount_centavos):
        return None
    return payment


def _by_clue(work: Work, reading: Reading) -> Payment | None:
    lookups = RecoveryLookups(work.session)
    if reading.watch_code is not None:
        return work.payments.find_by_watch_code(reading.watch_code)
    if reading.payment_id is not None:
        by_id = work.payments.find_by_txid(reading.payment_id)
        if by_id is not None or reading.kind is not Kind.PAYMENT_ID:
            return by_id
        # What a person typed may be the other number of 32 digits.
        return work.payments.find_by_watch_code(reading.payment_id)
    if reading.end_to_end_id is not None:
        return lookups.by_end_to_end_id(reading.end_to_end_id)
    if reading.kind is Kind.BAKONG and reading.is_whole and reading.bill_number:
        return lookups.by_bill_number(reading.bill_number.lower())
    if reading.kind is Kind.OTHER_PIX:
        return _by_whole_code(work, reading.text)
    return None


def _by_whole_code(work: Work, text: str) -> Payment | None:
    """A code that was made here under an address this service no longer has: letter by letter."""
    try:
        location = br_code.decode(text).url or ""
    except BrCodeError:
        return None
    token = location.rpartition("/")[2]
    payment = work.payments.find_by_watch_code(token)
    return payment if payment is not None and payment.br_code == text else None
