"""The rules of a payment's life: plain values in, a change out; no database, no clock.

    pending ──┬─ confirm: right amount, paid_at <= deadline + grace ──▶ confirmed
              ├─ expire: now > deadline ──▶ expired
              └─ cancel: asked by its merchant ──▶ cancelled
    expired ──── confirm: paid in time, told late ──▶ confirmed

The clock expires a payment; the sweep only writes it down. So every reader asks `status_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from core.clock import rfc3339
from core.errors import (
    AlreadyPaid,
    AmountMismatch,
    NotCancellable,
    NotRenewable,
    PaidTooLate,
    PaymentCancelled,
)
from core.money import plain
from db_models.payment import Payment, PaymentStatus
from db_models.payment_event import SUPERSEDED, EventName

LOOK_UP_AFTER = timedelta(seconds=20)
"""How old a payment is before the bank is asked about it: its own word mostly comes sooner."""
LOOK_UP_PAUSE_MIN, LOOK_UP_PAUSE_MAX = timedelta(seconds=15), timedelta(minutes=10)
LOOK_UP_AFTER_EXPIRY = timedelta(hours=1)
"""How long a payment counts as freshly expired."""


class Standing(Protocol):
    """What the rules read of a payment."""

    status: Any
    sequence: Any
    expires_at: Any
    amount_centavos: Any


@dataclass(frozen=True)
class Change:
    """One allowed change: the statuses it may start from, the columns it writes, how it is told."""

    event: EventName
    message: str
    from_statuses: tuple[str, ...]
    values: Mapping[str, Any]
    reason: str | None = None


def is_due(payment: Standing, now: datetime) -> bool:
    """Whether the deadline has passed without anybody having written so down."""
    return bool(payment.status == PaymentStatus.PENDING and now > payment.expires_at)


def status_at(payment: Standing, now: datetime) -> PaymentStatus:
    """How the payment stands at this instant: after the deadline a pending one is expired."""
    return PaymentStatus.EXPIRED if is_due(payment, now) else PaymentStatus(payment.status)


def sequence_at(payment: Standing, now: datetime) -> int:
    """The number of the state shown by `status_at`: an expiry counts before it is written."""
    return int(payment.sequence) + (1 if is_due(payment, now) else 0)


def remaining_ms(payment: Standing, now: datetime) -> int:
    """Milliseconds left to pay, by the server's clock; 0 once resolved or due."""
    if payment.status != PaymentStatus.PENDING:
        return 0
    left: timedelta = payment.expires_at - now
    return max(0, left // timedelta(milliseconds=1))


def confirm(
    payment: Standing,
    *,
    amount_centavos: int,
    paid_at: datetime,
    end_to_end_id: str,
    grace: timedelta,
    now: datetime,
) -> Change:
    """Resolve a payment as paid by this money.

    Raises AlreadyPaid, PaymentCancelled, AmountMismatch, or PaidTooLate when the bank took the
    money after the deadline and its grace. Told late is not paid late: an expired payment yields.
    """
    if payment.status == PaymentStatus.CONFIRMED:
        raise AlreadyPaid("Another receipt settled this payment before.")
    if payment.status == PaymentStatus.CANCELLED:
        raise PaymentCancelled("Its merchant cancelled this payment.")
    if amount_centavos != payment.amount_centavos:
        raise AmountMismatch(
            f"The payment asks {plain(payment.amount_centavos)} and {plain(amount_centavos)} came."
        )
    if paid_at > payment.expires_at + grace:
        raise PaidTooLate(
            f"The bank took the money at {rfc3339(paid_at)}, "
            f"after the deadline {rfc3339(payment.expires_at)}."
        )
    return Change(
        event=EventName.PAYMENT_CONFIRMED,
        message="The payment has been confirmed.",
        from_statuses=(PaymentStatus.PENDING, PaymentStatus.EXPIRED),
        values={
            "status": PaymentStatus.CONFIRMED,
            "resolved_at": now,
            "end_to_end_id": end_to_end_id,
            "look_up_at": None,
            # Readers may have been shown the expiry's number before the sweep wrote it.
            "sequence": sequence_at(payment, now) + 1,
        },
    )


def next_look_up(created_at: datetime, expires_at: datetime, now: datetime) -> datetime | None:
    """When to ask the bank again about a payment that waits, or has just expired.

    Ever more rarely, but once right after the deadline; None an hour after it.
    """
    if now <= expires_at:
        return min(now + _pause(now - created_at), expires_at + LOOK_UP_PAUSE_MIN)
    if now > expires_at + LOOK_UP_AFTER_EXPIRY:
        return None
    return now + _pause(now - expires_at)


def _pause(age: timedelta) -> timedelta:
    return min(max(age / 2, LOOK_UP_PAUSE_MIN), LOOK_UP_PAUSE_MAX)


def expire(payment: Standing | type[Payment]) -> Change:
    """Write down that the deadline has passed; the caller has seen that it is due.

    Given the class `Payment`, the values are expressions over its columns: the sweep writes many
    payments with one statement.
    """
    return Change(
        event=EventName.PAYMENT_EXPIRED,
        message="The payment has expired.",
        from_statuses=(PaymentStatus.PENDING,),
        values={
            "status": PaymentStatus.EXPIRED,
            "resolved_at": payment.expires_at,
            "sequence": payment.sequence + 1,
        },
    )


def cancel(payment: Standing, now: datetime, reason: str = "") -> Change:
    """Cancel a payment that can still be paid. Raises NotCancellable."""
    status = status_at(payment, now)
    if status is not PaymentStatus.PENDING:
        raise NotCancellable(f"Only a pending payment can be cancelled; this one is {status}.")
    return _cancelled(payment, now, reason)


def supersede(payment: Standing, now: datetime) -> Change:
    """Cancel an order's newer payment because money for the older one, paid in time, came late."""
    change = _cancelled(payment, now, "Its order was paid by another payment.")
    return replace(change, reason=SUPERSEDED)


def _cancelled(payment: Standing, now: datetime, reason: str) -> Change:
    return Change(
        event=EventName.PAYMENT_CANCELLED,
        message=f"The payment has been cancelled. {reason}".strip(),
        from_statuses=(PaymentStatus.PENDING,),
        values={
            "status": PaymentStatus.CANCELLED,
            "resolved_at": now,
            "look_up_at": None,
            "sequence": sequence_at(payment, now) + 1,
        },
    )


def revise_deadline(payment: Standing, expires_at: datetime, now: datetime) -> Change:
    """Move the deadline of a payment that can still be paid. Raises NotCancellable otherwise."""
    if status_at(payment, now) is not PaymentStatus.PENDING:
        raise NotCancellable("Only a pending payment's deadline can be moved.")
    return Change(
        event=EventName.PAYMENT_REVISED,
        message="The payment's deadline has moved.",
        from_statuses=(PaymentStatus.PENDING,),
        values={"expires_at": expires_at, "sequence": payment.sequence + 1},
    )


def refuse(payment: Standing, reason: str, now: datetime) -> Change:
    """Note on the payment that money came and goes back, so that its page can say so."""
    return Change(
        event=EventName.RECEIPT_REFUSED,
        message="Money arrived for this payment and goes back to its payer.",
        from_statuses=(PaymentStatus.EXPIRED, PaymentStatus.PENDING),
        values={"refusal": reason, "sequence": sequence_at(payment, now) + 1},
    )


def check_renewable(payment: Standing, now: datetime) -> None:
    """Raise NotRenewable unless the payment has expired."""
    status = status_at(payment, now)
    if status is not PaymentStatus.EXPIRED:
        raise NotRenewable(f"Only an expired payment can be renewed; this one is {status}.")
