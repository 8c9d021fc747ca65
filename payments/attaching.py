"""Give money without a payment its payment: the merchant attaches it, or gives it back."""

from __future__ import annotations

from datetime import timedelta

from accounts import audit
from config import current_settings
from core.errors import OrderAlreadyHasPayment, PaymentNotFound, Refused
from core.receipt_errors import ReceiptNotAttachable
from db_models import Account, AuditAction, Payment, PaymentStatus, Receipt, Refund, Verdict
from payments import lifecycle, refunds, service
from payments.at_bank import drafts
from payments.due_charges import expected_money
from payments.receipt_schemas import Attachment
from payments.refunds import RefundPart
from payments.schemas import NewRefund
from repository.database import Work


def attach(work: Work, merchant: Account, receipt: Receipt, attachment: Attachment) -> Payment:
    """Confirm a payment with the money of a receipt; returns the payment.

    With a payment's id that payment is confirmed, also after its deadline, because its merchant
    decides. With an order id it is the order's open payment, else a new one. A repetition changes
    nothing. Raises PaymentNotFound, ReceiptNotAttachable and OrderAlreadyHasPayment.
    """
    earlier_payment = payment_of(work, merchant, receipt)
    if earlier_payment is not None:
        if attachment.names(earlier_payment.txid, earlier_payment.order_id):
            return earlier_payment
        raise ReceiptNotAttachable("This receipt is attached to another payment.")
    if attachment.payment_id is not None:
        payment = work.payments.own(merchant, attachment.payment_id)
    else:
        payment = _payment_of_order(work, merchant, receipt, attachment)
    _settle(work, merchant, receipt, payment)
    return payment


def give_back(
    work: Work,
    merchant: Account,
    receipt: Receipt,
    new_refund: NewRefund,
    part: RefundPart | None = None,
) -> tuple[Refund, Payment, bool]:
    """Refund money without a payment; returns the refund, its payment and whether it is repeated.

    The receipt gets a payment of its own first, so that refunds have one procedure. Call
    `refunds.tell_bank` after the commit. Takes and raises what `refunds.request_refund` does, and
    ReceiptNotAttachable for refused money.
    """
    payment = payment_of(work, merchant, receipt)
    if payment is None:
        payment = _new_payment(work, merchant, receipt, None, None)
        _settle(work, merchant, receipt, payment)
    refund, is_repeated = refunds.request_refund(work, payment, new_refund, merchant, part)
    return refund, payment, is_repeated


def own_payment(work: Work, merchant: Account, receipt: Receipt) -> Payment:
    """Give money without a payment a payment of its own, because its bank gave it back.

    No person has decided that, so no audit row is written. Raises ReceiptNotAttachable.
    """
    payment = _new_payment(work, merchant, receipt, None, None)
    _confirm(work, receipt, payment)
    return payment


def payment_of(work: Work, merchant: Account, receipt: Receipt) -> Payment | None:
    """The receipt's payment, if it has one. Raises ReceiptNotAttachable for refused money."""
    if receipt.verdict != Verdict.ACCEPTED:
        raise ReceiptNotAttachable("This money was refused and goes back to its payer.")
    if receipt.payment_id is None:
        return None
    payment = work.payments.by_row_ids({receipt.payment_id}).get(receipt.payment_id)
    if payment is None:
        raise PaymentNotFound
    return work.payments.own(merchant, payment.txid)


def _payment_of_order(
    work: Work, merchant: Account, receipt: Receipt, attachment: Attachment
) -> Payment:
    """The order's pending payment, or a new one for this order."""
    order_id = attachment.order_id or ""
    live = work.payments.live_of_order(merchant.id, order_id)
    if live is None:
        return _new_payment(work, merchant, receipt, order_id, attachment.description)
    if live.status == PaymentStatus.CONFIRMED:
        raise OrderAlreadyHasPayment(
            f"The order {order_id} was already paid by the payment {live.txid}."
        )
    return live


def _new_payment(
    work: Work, merchant: Account, receipt: Receipt, order_id: str | None, description: str | None
) -> Payment:
    settings = current_settings()
    return service.insert_payment(
        work,
        merchant,
        amount_centavos=receipt.amount_centavos,
        lifetime=timedelta(seconds=settings.payment_ttl_seconds),
        location_base=settings.location_base,
        details={},
        order_id=order_id,
        description=description,
        # The money is here, so no bank gets a charge; refunds go to the bank that has the money.
        provider_account_id=receipt.provider_account_id,
    )


def _settle(work: Work, merchant: Account, receipt: Receipt, payment: Payment) -> None:
    """Confirm the payment, as its merchant has decided. Raises ReceiptNotAttachable."""
    _confirm(work, receipt, payment)
    details = {"payment": payment.txid, "amount_centavos": receipt.amount_centavos}
    audit.record(work, merchant, AuditAction.RECEIPT_ATTACHED, receipt.end_to_end_id, details)


def _confirm(work: Work, receipt: Receipt, payment: Payment) -> None:
    """Confirm the payment now. Raises ReceiptNotAttachable for another amount or status."""
    paid_at = min(receipt.paid_at, payment.expires_at)
    try:
        change = lifecycle.confirm(
            payment,
            amount_centavos=receipt.amount_centavos,
            paid_at=paid_at,
            end_to_end_id=receipt.end_to_end_id,
            grace=timedelta(0),
            now=work.now,
            expected=expected_money(payment, receipt.amount_centavos, paid_at),
        )
        if payment.status == PaymentStatus.EXPIRED and payment.order_id is not None:
            service.free_order(work, payment, payment.order_id)
    except Refused as refusal:
        raise ReceiptNotAttachable(refusal.detail) from None
    if not work.receipts.attach(receipt.id, payment.id):
        raise ReceiptNotAttachable("This receipt is attached to another payment.")
    service.apply_change(work, payment, change)
    # Nobody shall pay the code any more: the payment has its money by another way.
    drafts.plan_closing_of(work, payment)
