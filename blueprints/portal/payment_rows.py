"""A payment as a row of the portal's lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import url_for

from db_models import Payment, PaymentStatus
from payments.charge_terms import centavos_text
from payments.due_charges import amount_at
from payments.lifecycle import sequence_at
from payments.standing import mark_of
from payments.standing_words import label_of
from web.pages import language_args


@dataclass(frozen=True)
class Row:
    """One row; `mark` is the payment's state as a CSS modifier."""

    id: str
    mark: str
    label: str
    sequence: int
    amount_text: str
    refunded_centavos: int
    title: str | None
    order_id: str | None
    created_at: datetime
    paid_at: datetime | None
    url: str


def row_of(payment: Payment, now: datetime) -> Row:
    """The row of a payment as of `now`."""
    mark = mark_of(payment, now)
    is_paid = payment.status == PaymentStatus.CONFIRMED
    return Row(
        id=payment.txid,
        mark=mark,
        label=label_of(mark),
        sequence=sequence_at(payment, now),
        amount_text=centavos_text(payment, amount_at(payment, now)),
        refunded_centavos=payment.refunded_centavos,
        title=payment.description,
        order_id=payment.order_id,
        created_at=payment.created_at,
        paid_at=payment.resolved_at if is_paid else None,
        url=url_for("portal.payment", payment_id=payment.txid, **language_args()),
    )
