"""A payment as a row of the portal's lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import url_for

from db_models import Payment, PaymentStatus
from payments.lifecycle import sequence_at, status_at
from web.pages import language_args
from web.pages import translate as _


@dataclass(frozen=True)
class Row:
    """One row; `mark` is the payment's state as a CSS modifier."""

    id: str
    mark: str
    label: str
    sequence: int
    amount_centavos: int
    refunded_centavos: int
    title: str | None
    order_id: str | None
    created_at: datetime
    paid_at: datetime | None
    url: str


def mark_of(payment: Payment, now: datetime) -> str:
    """The payment's state in one word: its status, or how far it was refunded or refused."""
    status = status_at(payment, now)
    if status is PaymentStatus.CONFIRMED and payment.refunded_centavos:
        is_full = payment.refunded_centavos >= payment.amount_centavos
        return "refunded" if is_full else "part-refunded"
    if status is PaymentStatus.EXPIRED and payment.refusal:
        return "refused"
    return str(status)


def label_of(mark: str) -> str:
    """The translated label of a mark."""
    return {
        "pending": _("Aguardando"),
        "confirmed": _("Pago"),
        "expired": _("Expirado"),
        "cancelled": _("Cancelado"),
        "refunded": _("Devolvido"),
        "part-refunded": _("Devolvido em parte"),
        "refused": _("Valor recusado"),
    }[mark]


def row_of(payment: Payment, now: datetime) -> Row:
    """The row of a payment as of `now`."""
    mark = mark_of(payment, now)
    is_paid = payment.status == PaymentStatus.CONFIRMED
    return Row(
        id=payment.txid,
        mark=mark,
        label=label_of(mark),
        sequence=sequence_at(payment, now),
        amount_centavos=payment.amount_centavos,
        refunded_centavos=payment.refunded_centavos,
        title=payment.description,
        order_id=payment.order_id,
        created_at=payment.created_at,
        paid_at=payment.resolved_at if is_paid else None,
        url=url_for("portal.payment", payment_id=payment.txid, **language_args()),
    )
