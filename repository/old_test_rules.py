"""Which rows of test halves are old, and which rows belong to a test half at all.

Nothing is old that still waits for anybody: a pending payment, a refund without an answer, a charge
that a sandbox may still take money for, an event without a position, a delivery that is being sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, not_, or_, select

from db_models import (
    Account,
    ChargeAttempt,
    ChargeBatch,
    ChargeBatchItem,
    ChargeBatchRequest,
    Environment,
    FeedEntry,
    Location,
    PayerBankOrder,
    Payment,
    PaymentEvent,
    PaymentStatus,
    ProviderAccount,
    ProviderCharge,
    ProviderChargeStatus,
    ProviderHint,
    Receipt,
    Recurrence,
    RecurrenceLocation,
    RecurrenceRequest,
    RecurrenceRequestChange,
    RecurringCharge,
    Refund,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)

LISTED_FOR = timedelta(days=2)
"""Lists of a bank's Pix reach 25 hours back: money that they still show would be booked again."""

_ENDED = (PaymentStatus.CONFIRMED, PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)
_AT_WORK = (
    ProviderChargeStatus.OPENING,
    ProviderChargeStatus.OPEN,
    ProviderChargeStatus.CLOSING,
)
Rows = Sequence[int]
_IS_HALF = Account.test_of_id.is_not(None)


def _row_ids(table: Any, ids: Rows | None) -> Select[Any]:
    query = select(table.id)
    return query if ids is None else query.where(table.id.in_(ids))


def of_half(merchant_id: Any) -> ColumnElement[bool]:
    """Whether the merchant of the outer row is a test half."""
    return exists().where(Account.id == merchant_id, _IS_HALF)


def of_payment(payment_id: Any) -> ColumnElement[bool]:
    """Whether the payment of the outer row is of a test half."""
    return exists().where(Payment.id == payment_id, Payment.merchant_id == Account.id, _IS_HALF)


def of_recurrence(recurrence_id: Any) -> ColumnElement[bool]:
    """Whether the recurrence of the outer row is of a test half."""
    return exists().where(
        Recurrence.id == recurrence_id, Recurrence.merchant_id == Account.id, _IS_HALF
    )


def event_of_half() -> ColumnElement[bool]:
    """Whether the outer event is of a payment or of money of a test half."""
    of_money = or_(of_half(Receipt.merchant_id), of_payment(Receipt.payment_id))
    return or_(
        of_payment(PaymentEvent.payment_id),
        exists().where(Receipt.id == PaymentEvent.receipt_id, of_money),
    )


def delivery_of_half() -> ColumnElement[bool]:
    """Whether the outer delivery is to an endpoint of a test half."""
    return exists().where(
        WebhookEndpoint.id == WebhookDelivery.endpoint_id,
        WebhookEndpoint.merchant_id == Account.id,
        _IS_HALF,
    )


def attempt_of_half() -> ColumnElement[bool]:
    """Whether the outer attempt is of such a delivery."""
    return exists().where(
        WebhookDelivery.id == WebhookAttempt.delivery_id,
        WebhookDelivery.endpoint_id == WebhookEndpoint.id,
        WebhookEndpoint.merchant_id == Account.id,
        _IS_HALF,
    )


def request_change_of_half() -> ColumnElement[bool]:
    """Whether the outer change is of a request of a test half."""
    return exists().where(
        RecurrenceRequest.id == RecurrenceRequestChange.request_id,
        RecurrenceRequest.recurrence_id == Recurrence.id,
        Recurrence.merchant_id == Account.id,
        _IS_HALF,
    )


def hint_of_half() -> ColumnElement[bool]:
    """Whether the outer hint names a charge of a test half's payment."""
    return exists().where(
        ProviderCharge.txid == ProviderHint.txid,
        ProviderCharge.account_id == ProviderHint.account_id,
        ProviderCharge.payment_id == Payment.id,
        Payment.merchant_id == Account.id,
        _IS_HALF,
    )


def order_of_half() -> ColumnElement[bool]:
    """Whether the outer order to a payer's bank is about a recurrence of a test half."""
    subject, of_recurrences = (
        PayerBankOrder.subject,
        (Recurrence.merchant_id == Account.id, _IS_HALF),
    )
    return or_(
        exists().where(Recurrence.id_rec == subject, *of_recurrences),
        exists().where(
            RecurrenceRequest.id_solic_rec == subject,
            RecurrenceRequest.recurrence_id == Recurrence.id,
            *of_recurrences,
        ),
        exists().where(
            ChargeAttempt.end_to_end_id == subject,
            ChargeAttempt.payment_id == Payment.id,
            Payment.merchant_id == Account.id,
            _IS_HALF,
        ),
    )


def is_leased(now: datetime) -> ColumnElement[bool]:
    """Whether a process sends the outer delivery now; it stores its attempt afterwards."""
    return and_(WebhookDelivery.lease.is_not(None), WebhookDelivery.due_at > now)


def payments(half: int, now: datetime, before: datetime, ids: Rows | None) -> Select[Any]:
    """Payments that ended, of which nothing is under way any more."""
    refund_is_new = or_(Refund.settled_at.is_(None), Refund.settled_at >= before)
    at_work = (
        exists().where(Refund.payment_id == Payment.id, refund_is_new),
        exists().where(Receipt.payment_id == Payment.id, Receipt.told_at >= before),
        exists().where(PaymentEvent.payment_id == Payment.id, PaymentEvent.unnumbered.is_(True)),
        exists().where(
            RecurringCharge.payment_id == Payment.id, RecurringCharge.closed_at.is_(None)
        ),
        exists().where(
            ProviderCharge.payment_id == Payment.id, ProviderCharge.status.in_(_AT_WORK)
        ),
        exists().where(
            ChargeBatchItem.payment_id == Payment.id,
            ChargeBatchRequest.batch_id == ChargeBatchItem.batch_id,
            ChargeBatchRequest.position == ChargeBatchItem.position,
        ),
        exists().where(
            PaymentEvent.payment_id == Payment.id,
            FeedEntry.event_id == PaymentEvent.id,
            WebhookDelivery.feed_position == FeedEntry.position,
            is_leased(now),
        ),
    )
    return _row_ids(Payment, ids).where(
        Payment.merchant_id == half,
        of_half(Payment.merchant_id),
        Payment.status.in_(_ENDED),
        Payment.resolved_at < before,
        Payment.refunding_centavos == 0,
        _is_test_money(Payment, Payment.resolved_at, before),
        *map(not_, at_work),
    )


def receipts(half: int, _now: datetime, before: datetime, ids: Rows | None) -> Select[Any]:
    """Money without a payment."""
    return _row_ids(Receipt, ids).where(
        Receipt.merchant_id == half,
        of_half(Receipt.merchant_id),
        Receipt.payment_id.is_(None),
        Receipt.told_at < before,
        _is_test_money(Receipt, Receipt.told_at, before),
        ~exists().where(PaymentEvent.receipt_id == Receipt.id, PaymentEvent.unnumbered.is_(True)),
    )


def _is_test_money(table: Any, at: Any, before: datetime) -> ColumnElement[bool]:
    """At the simulated bank, or at a sandbox whose lists do not show it any more."""
    at_sandbox = exists().where(
        ProviderAccount.id == table.provider_account_id,
        ProviderAccount.environment == Environment.TEST,
    )
    return or_(table.provider_account_id.is_(None), and_(at_sandbox, at < before - LISTED_FOR))


def recurrences(half: int, _now: datetime, before: datetime, ids: Rows | None) -> Select[Any]:
    """Recurrences that ended and have no charge any more."""
    return _row_ids(Recurrence, ids).where(
        Recurrence.merchant_id == half,
        of_half(Recurrence.merchant_id),
        Recurrence.closed_at < before,
        ~exists().where(RecurringCharge.recurrence_id == Recurrence.id),
        ~exists().where(
            RecurrenceRequest.recurrence_id == Recurrence.id,
            RecurrenceRequest.closed_at.is_(None),
        ),
    )


def batches(half: int, _now: datetime, before: datetime, ids: Rows | None) -> Select[Any]:
    """Batches of charges of which no charge is left."""
    return _row_ids(ChargeBatch, ids).where(
        ChargeBatch.merchant_id == half,
        of_half(ChargeBatch.merchant_id),
        ChargeBatch.created_at < before,
        ~exists().where(
            ChargeBatchItem.batch_id == ChargeBatch.id, ChargeBatchItem.payment_id.is_not(None)
        ),
        ~exists().where(ChargeBatchRequest.batch_id == ChargeBatch.id),
    )


def locations(half: int, _now: datetime, before: datetime, ids: Rows | None) -> Select[Any]:
    """Locations that show no charge."""
    return _row_ids(Location, ids).where(
        Location.merchant_id == half,
        of_half(Location.merchant_id),
        Location.payment_id.is_(None),
        Location.created_at < before,
    )


def recurrence_locations(
    half: int, _now: datetime, before: datetime, ids: Rows | None
) -> Select[Any]:
    """Locations that show no recurrence."""
    return _row_ids(RecurrenceLocation, ids).where(
        RecurrenceLocation.merchant_id == half,
        of_half(RecurrenceLocation.merchant_id),
        RecurrenceLocation.created_at < before,
        ~exists().where(Recurrence.location_id == RecurrenceLocation.id),
    )
