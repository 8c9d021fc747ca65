"""Payments of the past that a demo invents: the bank stores them as if it had taken them.

`flask seed` gives the service a month of sales. Without these rows the bank would not know the
sales, and would refuse to refund them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bank.database import Database
from bank.models import BankRefund, Notice, Transfer
from bank.money.demo import OPENING_ACCOUNT
from bank.money.ledger import open_account, opening_transfer, whole_milliseconds
from bank.money.notices import NoticeVerdict, new_message_id
from bank.settings import DEFAULT_ISPB
from core.clock import rfc3339
from core.money import plain

SOURCE_ACCOUNT = "history"
"""The account that the invented payers pay from. It gets as much as they pay."""
_LOOKED_UP_AT_ONCE = 500


@dataclass(frozen=True)
class PastRefund:
    """A refund of a past payment that was done at `settled_at`."""

    refund_id: str
    return_id: str
    amount_centavos: int
    requested_at: datetime
    settled_at: datetime


@dataclass(frozen=True)
class PastPayment:
    """A payment that the service has confirmed; `txid` is None for a static code."""

    end_to_end_id: str
    txid: str | None
    amount_centavos: int
    paid_at: datetime
    payee_key: str
    payee_name: str
    payer_name: str | None
    payer_document: str | None
    refunds: tuple[PastRefund, ...] = ()


def record_history(database: Database, payments: Sequence[PastPayment]) -> int:
    """Store the payments that the bank does not know yet, and return how many these were."""
    known_ids = set(_known_ids(database, payments))
    new_payments = [one for one in payments if one.end_to_end_id not in known_ids]
    if not new_payments:
        return 0
    first_at = min(payment.paid_at for payment in new_payments)
    opening = open_account(database, OPENING_ACCOUNT, "opening", first_at)
    source = open_account(database, SOURCE_ACCOUNT, "payer", first_at)
    payees = {
        key: open_account(database, f"payee:{key}", "payee", first_at)
        for key in {payment.payee_key for payment in new_payments}
    }
    total = sum(payment.amount_centavos for payment in new_payments)
    with database.writing() as session:
        session.add(opening_transfer(opening, source, total, DEFAULT_ISPB, first_at))
        for payment in new_payments:
            _add_payment(session, payment, source, payees[payment.payee_key])
    return len(new_payments)


def _known_ids(database: Database, payments: Sequence[PastPayment]) -> Iterator[str]:
    ids = [payment.end_to_end_id for payment in payments]
    with database.reading() as session:
        for first in range(0, len(ids), _LOOKED_UP_AT_ONCE):
            some = ids[first : first + _LOOKED_UP_AT_ONCE]
            yield from session.scalars(
                select(Transfer.identifier).where(Transfer.identifier.in_(some))
            )


def _add_payment(session: Session, payment: PastPayment, source: int, payee: int) -> None:
    made_at = whole_milliseconds(payment.paid_at)
    transfer = Transfer(
        identifier=payment.end_to_end_id,
        kind="payment",
        debit_account_id=source,
        credit_account_id=payee,
        amount_centavos=payment.amount_centavos,
        made_at=made_at,
        txid=payment.txid,
        payee_name=payment.payee_name,
        payee_key=payment.payee_key,
    )
    session.add(transfer)
    session.flush()
    session.add(
        Notice(
            transfer_id=transfer.id,
            message_id=new_message_id(),
            body=_notice_body(payment),
            attempts=1,
            next_attempt_at=made_at,
            answer_status=200,
            verdict=NoticeVerdict.CONFIRMED.value,
            done_at=made_at,
        )
    )
    for refund in payment.refunds:
        _add_refund(session, transfer, refund)


def _notice_body(payment: PastPayment) -> bytes:
    """The notice that the service would have got; look-ups repeat the payer in it."""
    target = {"pix_key": payment.payee_key}
    if payment.txid is not None:
        target = {"bank_payment_id": payment.txid}
    return json.dumps(
        {
            **target,
            "value": plain(payment.amount_centavos),
            "end_to_end_id": payment.end_to_end_id,
            "paid_at": rfc3339(payment.paid_at),
            "payer": {"name": payment.payer_name, "document": payment.payer_document},
        }
    ).encode()


def _add_refund(session: Session, payment: Transfer, refund: PastRefund) -> None:
    transfer = Transfer(
        identifier=refund.return_id,
        kind="refund",
        debit_account_id=payment.credit_account_id,
        credit_account_id=payment.debit_account_id,
        amount_centavos=refund.amount_centavos,
        made_at=whole_milliseconds(refund.settled_at),
        txid=payment.txid,
        payee_name=payment.payee_name,
        payee_key=payment.payee_key,
        refunds_id=payment.id,
    )
    session.add(transfer)
    session.flush()
    session.add(
        BankRefund(
            refund_id=refund.refund_id,
            return_id=refund.return_id,
            payment_id=payment.id,
            amount_centavos=refund.amount_centavos,
            status="done",
            requested_at=refund.requested_at,
            due_at=refund.requested_at,
            settled_at=refund.settled_at,
            transfer_id=transfer.id,
        )
    )
