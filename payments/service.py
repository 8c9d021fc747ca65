"""The operations that change a payment: create, confirm, expire, cancel, revise.

Each uses the unit of work of its caller and never commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts import audit
from config import current_settings
from core import ids
from core.errors import (
    AlreadyPaid,
    AmountMismatch,
    ConcurrentUpdate,
    NotCancellable,
    NotificationConflict,
    OrderAlreadyHasPayment,
    PaidTooLate,
    PaymentCancelled,
    PaymentNotFound,
    Refused,
)
from core.merchant_errors import PixKeyMissing
from core.pix import br_code
from core.signing.signatures import VerifiedMessage
from db_models import (
    Account,
    AuditAction,
    ChargeKind,
    EventName,
    Payment,
    PaymentStatus,
    Receipt,
    Verdict,
)
from payments import lifecycle, snapshots
from payments.at_bank import drafts
from payments.due_charges import expected_money
from payments.halves_wall import may_touch
from payments.lifecycle import Change, status_at
from payments.location import location_text
from payments.paid_mail import mail_merchant
from payments.recurring import charge_steps
from payments.schemas import Confirmation, NewPayment
from payments.shop_fields import SHOP_COLUMNS
from repository.database import Work
from repository.events import StoredEvent

CLOCK_SKEW = timedelta(seconds=300)
"""How far a bank's clock may be ahead of ours; a later `paid_at` is invalid."""

_REFUSALS: tuple[type[Refused | PaymentNotFound], ...] = (
    AlreadyPaid,
    AmountMismatch,
    PaidTooLate,
    PaymentCancelled,
    PaymentNotFound,
)
REASONS = {refusal.code: refusal for refusal in _REFUSALS}
"""The refusals by the code that a receipt stores."""


@dataclass(frozen=True)
class ConfirmationResult:
    """The result of a confirmation: accepted, or the reason why the bank returns the money."""

    payment: Payment | None
    """None for money without a payment, and for a payment that does not exist."""
    duplicate: bool = False
    refusal: Refused | PaymentNotFound | None = None

    def accepted_or_raise(self) -> Payment | None:
        """The confirmed payment, or raise the refusal. Call it after the commit of the receipt."""
        if self.refusal is not None:
            raise self.refusal
        return self.payment


def create(
    work: Work,
    merchant: Account,
    new_payment: NewPayment,
    *,
    ttl: timedelta,
    location_base: str,
    deferred: bool = False,
) -> Payment:
    """Insert a pending payment with its BR Code and its first event.

    With `deferred` the payment has no row id before the COMMIT (`Work.flush_deferred`). Raises
    LostRace if the order already has a live payment (see `explain_live_order`), with `deferred`
    at the COMMIT, and PixKeyMissing if the merchant cannot receive yet.
    """
    seconds = new_payment.expires_in or ttl.total_seconds()
    return insert_payment(
        work,
        merchant,
        amount_centavos=new_payment.value,
        lifetime=timedelta(seconds=seconds),
        location_base=location_base,
        details=dict(new_payment.metadata),
        robot_terms=new_payment.robot_terms,
        deferred=deferred,
        **merchant_columns(new_payment),
    )


def merchant_columns(source: NewPayment | Payment) -> dict[str, Any]:
    """The columns that a new payment takes from the request, and a renewal from the old payment."""
    return {name: getattr(source, name) for name in SHOP_COLUMNS}


def explain_live_order(work: Work, merchant: Account, order_id: str) -> None:
    """Raise OrderAlreadyHasPayment if the order has a live payment.

    A payment whose deadline has passed is not live; its expiry is stored here, before the sweep.
    """
    live = work.payments.live_of_order(merchant.id, order_id)
    if live is None:
        return
    if lifecycle.is_due(live, work.now):
        expire(work, live)
        return
    raise OrderAlreadyHasPayment(
        f"The order {order_id} already has the {live.status} payment {live.txid}."
    )


def insert_payment(
    work: Work,
    merchant: Account,
    *,
    amount_centavos: int,
    lifetime: timedelta,
    location_base: str,
    deferred: bool = False,
    **values: Any,
) -> Payment:
    """Insert a pending payment with its first event; `values` are further columns.

    If the merchant's new payments go to a real bank, the payment has no code before that bank
    gives one, and its charge is stored here too. `deferred` is as for `create`. Raises
    PixKeyMissing and ProviderUnsupported.
    """
    account = drafts.account_of_new_charge(work, merchant, amount_centavos, values)
    watch_code = ids.new_watch_code()
    if account is not None:
        values = {**values, drafts.OWN_ACCOUNT: account.id}
    if values.get(drafts.OWN_ACCOUNT) is not None:
        code, values = "", {**values, "has_location": False}
    else:
        if merchant.pix_key is None:
            raise PixKeyMissing
        token = values.get("location_token") or watch_code
        kind = values.get("charge_kind", ChargeKind.COB)
        code = code_of(merchant, location_text(location_base, kind, token))
    row = {
        "txid": ids.new_txid(),
        "watch_code": watch_code,
        "merchant_id": merchant.id,
        "amount_centavos": amount_centavos,
        "refunded_centavos": 0,
        "br_code": code,
        "status": PaymentStatus.PENDING,
        "created_at": work.now,
        "expires_at": work.now + lifetime,
        "sequence": 1,
        "look_up_at": work.now + lifecycle.LOOK_UP_AFTER,
        **values,
    }
    is_deferred = deferred and account is None
    insert = work.payments.defer_insert if is_deferred else work.payments.insert
    payment = insert(row, merchant)
    about: dict[str, Any] = {}
    if account is not None:
        about |= drafts.insert_charge(work, payment, account, lifetime)
    message = "The payment has been created."
    _record(work, payment, EventName.PAYMENT_CREATED, message, author=audit.author(), about=about)
    return payment


def code_of(merchant: Account, location: str) -> str:
    """The dynamic BR Code with this location."""
    return br_code.encode_dynamic(location, merchant.name, merchant.city)


def confirm(
    work: Work, confirmation: Confirmation, txid: str, signed: VerifiedMessage
) -> ConfirmationResult:
    """Settle a payment with money that arrived at the bank, or refuse the money; store a receipt.

    Refusals are returned, not raised, so that their receipts are committed. A repeated
    end_to_end_id gets the first result. Raises NotificationConflict if the repetition names
    another payment or amount.
    """
    end_to_end_id = confirmation.end_to_end_id or signed.message_id
    paid_at = confirmation.paid_at or signed.signed_at
    payment, grace, may_be_repeated = work.payments.lock_for_money(txid, end_to_end_id)
    if payment is None:
        # A bank may name a charge by the txid of its payload, which the merchant chose.
        half = signed.is_test if current_settings().is_live else None
        own_id = work.charges.only_payment_with(txid, half)
        payment, grace = work.payments.lock_by_txid(own_id) if own_id else (None, grace)
    if payment is not None and payment.provider_account_id is not None:
        payment = None  # Only its own bank can say that it is paid, see `payments.at_bank`.
    elif payment is not None and not may_touch(payment.merchant_id, is_test=signed.is_test):
        payment = None
    earlier_receipt = (
        work.receipts.find_by_end_to_end_id(end_to_end_id) if may_be_repeated else None
    )
    if earlier_receipt is not None:
        if is_behind_wall(earlier_receipt, signed):
            return ConfirmationResult(None, refusal=_no_payment(txid))
        return first_result(earlier_receipt, confirmation, payment)
    if payment is None:
        not_found = _no_payment(txid)
        work.receipts.insert(receipt_row(work, confirmation, signed, None, not_found))
        return ConfirmationResult(None, refusal=not_found)
    try:
        change = lifecycle.confirm(
            payment,
            amount_centavos=confirmation.value,
            paid_at=paid_at,
            end_to_end_id=end_to_end_id,
            grace=grace,
            now=work.now,
            expected=expected_money(payment, confirmation.value, paid_at),
        )
        if payment.status == PaymentStatus.EXPIRED and payment.order_id is not None:
            free_order(work, payment, payment.order_id)
    except Refused as refusal:
        row_id = work.receipts.insert(receipt_row(work, confirmation, signed, payment, refusal))
        _record_refusal(work, payment, refusal, row_id)
        return ConfirmationResult(payment, refusal=refusal)
    apply_change(work, payment, change)
    work.receipts.defer_insert(receipt_row(work, confirmation, signed, payment, None))
    mail_merchant(work, payment, confirmation.payer.name if confirmation.payer else None)
    return ConfirmationResult(payment)


def _no_payment(txid: str) -> PaymentNotFound:
    return PaymentNotFound(f"There is no payment {txid}.")


def is_behind_wall(receipt: Receipt, signed: VerifiedMessage) -> bool:
    """Whether the receipt belongs to a half whose money this bank may not touch."""
    merchant_id = receipt.merchant_id
    return merchant_id is not None and not may_touch(merchant_id, is_test=signed.is_test)


def first_result(
    receipt: Receipt, confirmation: Confirmation, payment: Payment | None
) -> ConfirmationResult:
    """The result of the first notification with this end_to_end_id.

    Raises NotificationConflict if that notification named another payee or amount.
    """
    claim = (*confirmation.target, confirmation.value)
    if claim != (receipt.bank_payment_id, receipt.pix_key, receipt.amount_centavos):
        raise NotificationConflict(
            f"{receipt.end_to_end_id} came before, for another payment or amount."
        )
    if receipt.verdict == Verdict.ACCEPTED:
        return ConfirmationResult(payment, duplicate=True)
    refusal = REASONS.get(receipt.reason or "", Refused)
    return ConfirmationResult(payment, duplicate=True, refusal=refusal())


def free_order(work: Work, payment: Payment, order_id: str) -> None:
    """Cancel or expire the order's newer payment, because money for the expired one came late.

    Raises AlreadyPaid if the newer payment was paid.
    """
    rival = work.payments.live_of_order(payment.merchant_id, order_id)
    if rival is None:
        return
    if rival.status == PaymentStatus.CONFIRMED:
        raise AlreadyPaid("Another payment of the same order has already been paid.")
    if lifecycle.is_due(rival, work.now):
        expire(work, rival)
        return
    apply_change(work, rival, lifecycle.supersede(rival, work.now))


def receipt_row(
    work: Work,
    confirmation: Confirmation,
    signed: VerifiedMessage,
    payment: Payment | None,
    refusal: Refused | PaymentNotFound | None,
) -> dict[str, Any]:
    """The columns of the receipt of this confirmation."""
    payer = confirmation.payer
    bank_payment_id, pix_key = confirmation.target
    return {
        "end_to_end_id": confirmation.end_to_end_id or signed.message_id,
        "bank_payment_id": bank_payment_id,
        "pix_key": pix_key,
        "reference": None if pix_key is None else confirmation.reference,
        "payment_id": payment.id if payment else None,
        "merchant_id": payment.merchant_id if payment else None,
        "amount_centavos": confirmation.value,
        "paid_at": confirmation.paid_at or signed.signed_at,
        "told_at": work.now,
        "payer_name": payer.name if payer else None,
        "payer_document": payer.document if payer else None,
        "payer_message": confirmation.payer_message,
        "verdict": Verdict.ACCEPTED if refusal is None else Verdict.REFUSED,
        "reason": None if refusal is None else refusal.code,
    }


def _record_refusal(work: Work, payment: Payment, refusal: Refused, receipt_row_id: int) -> None:
    """A paid payment stays as it is; an unpaid one tells its payer that the money goes back."""
    about = {snapshots.RECEIPT: receipt_row_id}
    if payment.status == PaymentStatus.CONFIRMED:
        _record(work, payment, EventName.RECEIPT_REFUSED, refusal.detail, about=about)
        return
    change = lifecycle.refuse(payment, refusal.code, refusal.detail, work.now)
    apply_change(work, payment, change, about)


def expire(work: Work, payment: Payment) -> None:
    """Store the expiry of a payment whose deadline has passed."""
    apply_change(work, payment, lifecycle.expire(payment))


def cancel(work: Work, payment: Payment, by: Account) -> None:
    """Cancel a pending payment; `by` is the merchant. Raises NotCancellable."""
    _check_not_recurring(payment)
    apply_change(work, payment, lifecycle.cancel(payment, work.now))
    audit.record(work, by, AuditAction.PAYMENT_CANCELLED, payment.txid)


def revise_deadline(work: Work, payment: Payment, expires_at: datetime) -> None:
    """Move the deadline of a pending payment. Raises NotCancellable."""
    _check_not_recurring(payment)
    apply_change(work, payment, lifecycle.revise_deadline(payment, expires_at, work.now))


def _check_not_recurring(payment: Payment) -> None:
    """Raise NotCancellable for a charge of a recurrence: the payer's bank needs an order."""
    if payment.charge_kind == ChargeKind.COBR:
        raise NotCancellable("A charge of Pix Automático is cancelled by PATCH /cobr/{txid}.")


def apply_change(
    work: Work,
    payment: Payment,
    change: Change,
    about: Mapping[str, Any] | None = None,
    author: Mapping[str, str] | None = None,
) -> None:
    """Store the change and its event if the payment has not changed since it was read.

    Otherwise raises ConcurrentUpdate: the unit of work starts again with the new state. `about` are
    further members of the event's snapshot. `author` is that of `audit.author`, for a change that
    leaves no other record.
    """
    if not work.payments.change(payment, change.from_statuses, change.values):
        raise ConcurrentUpdate
    _record(work, payment, change.event, change.message, change.reason, author=author, about=about)
    if change.event is EventName.PAYMENT_CANCELLED:
        drafts.plan_closing_of(work, payment)
    if payment.charge_kind == ChargeKind.COBR:
        charge_steps.follow(work, payment)


def _record(
    work: Work,
    payment: Payment,
    name: EventName,
    message: str,
    reason: str | None = None,
    author: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    work.record(
        StoredEvent(
            name=name,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            txid=payment.txid,
            status=str(status_at(payment, work.now)),
            sequence=payment.sequence,
            occurred_at=work.now,
            message=message,
            reason=reason,
            author=author,
            state={**snapshots.of_payment(payment), **(about or {})},
        ),
        payment,
    )
