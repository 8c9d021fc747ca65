"""Find the payment that a text names, and never one that only resembles it.

Each lookup uses an unguessable value that is complete in the text. If the text also names an order
or an amount, they must match the payment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blueprints.recovery.reading import Kind, Reading
from core.errors import PaymentNotFound
from core.pix import br_code
from core.pix.br_code import BrCodeError
from db_models import Payment
from repository.database import Work
from repository.recovery_lookups import RecoveryLookups

READINGS_MAX = 8
"""The codes of one picture that are looked up; a payer's picture has one or two."""


@dataclass(frozen=True)
class Match:
    """A payment, and the text that names the payment."""

    payment: Payment
    reading: Reading


def find(work: Work, readings: Sequence[Reading]) -> Match | None:
    """The first payment that one of the texts names."""
    for reading in readings[:READINGS_MAX]:
        payment = _payment_of(work, reading)
        if payment is not None:
            return Match(payment, reading)
    return None


def _payment_of(work: Work, reading: Reading) -> Payment | None:
    payment = _by_clue(work, reading)
    if payment is None or reading.contradicts(payment.order_id, payment.amount_centavos):
        return None
    return payment


def _by_clue(work: Work, reading: Reading) -> Payment | None:
    lookups = RecoveryLookups(work.session)
    if reading.watch_code is not None:
        return _by_token(work, reading.watch_code)
    if reading.payment_id is not None:
        by_id = work.payments.find_by_txid(reading.payment_id)
        if by_id is not None or reading.kind is not Kind.PAYMENT_ID:
            return by_id
        # A person may have typed the watch code, which has 32 hex digits as well.
        return work.payments.find_by_watch_code(reading.payment_id)
    if reading.end_to_end_id is not None:
        return lookups.by_end_to_end_id(reading.end_to_end_id)
    if reading.kind is Kind.BAKONG and reading.is_whole and reading.bill_number:
        return lookups.by_bill_number(reading.bill_number.lower())
    if reading.kind is Kind.OTHER_PIX:
        return _by_whole_code(work, reading.text)
    return None


def _by_whole_code(work: Work, text: str) -> Payment | None:
    """Find a code that this service made under a former address; the whole code must be equal."""
    try:
        location = br_code.decode(text).url or ""
    except BrCodeError:
        return None
    token = location.rpartition("/")[2]
    payment = _by_token(work, token)
    return payment if payment is not None and payment.br_code == text else None


def _by_token(work: Work, token: str) -> Payment | None:
    """The payment that a location shows now, or the one with this watch code."""
    try:
        return work.payments.by_location(token)
    except PaymentNotFound:
        return work.payments.find_by_watch_code(token)
