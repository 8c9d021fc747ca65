"""The rules of a payment's status: functions of plain values, without database and clock.

    pending ──┬─ confirm: right amount, paid_at <= deadline + grace ──▶ confirmed
              ├─ expire: now > deadline ──▶ expired
              └─ cancel: the merchant's request ──▶ cancelled
    expired ─┬── confirm: paid in time, notified late ──▶ confirmed
             ├── revise: a later deadline ──▶ pending
             └── remove: the merchant's request by API Pix ──▶ cancelled

A payment expires at its deadline, before the sweep stores that. So readers call `status_at`.
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
from core.merchant_errors import NotRevisable
from core.money import plain
from db_models.payment import Payment, PaymentStatus
from db_models.payment_event import SUPERSEDED, EventName

LOOK_UP_AFTER = timedelta(seconds=20)
"""The age of a payment at its first look-up: a notification usually arrives sooner."""
LOOK_UP_PAUSE_MIN, LOOK_UP_PAUSE_MAX = timedelta(seconds=15), timedelta(minutes=10)
LOOK_UP_AFTER_EXPIRY = timedelta(hours=1)
"""How long after its deadline a payment is looked up."""


@dataclass(frozen=True)
class RenewalTerms:
    """The terms of a renewal."""

    usual_lifetime: timedelta
    """For a payment whose deadline was moved, so that its own lifetime is unknown."""
    age_max: timedelta
    """How long after the deadline of the first payment of a chain anybody may renew."""
    location_base: str


class Timed(Protocol):
    """The attributes of a payment that decide its status at an instant."""

    @property
    def status(self) -> Any: ...

    @property
    def sequence(self) -> Any: ...

    @property
    def expires_at(self) -> Any: ...


class Standing(Timed, Protocol):
    """The attributes of a payment that the rules read."""

    amount_centavos: Any
    payer_sets_amount: Any


@dataclass(frozen=True)
class ExpectedMoney:
    """What money for a payment must be: its centavos, and the last instant at which it is made."""

    amount_centavos: int
    deadline: datetime
    least_centavos: int = 0
    """The least money where the payer may change the amount."""


@dataclass(frozen=True)
class Change:
    """An allowed change: the statuses it may start from, the new column values and the event."""

    event: EventName
    message: str
    from_statuses: tuple[str, ...]
    values: Mapping[str, Any]
    reason: str | None = None


def is_due(payment: Timed, now: datetime) -> bool:
    """Whether the deadline has passed but the expiry is not stored yet."""
    return bool(payment.status == PaymentStatus.PENDING and now > payment.expires_at)


def status_at(payment: Timed, now: datetime) -> PaymentStatus:
    """The status at `now`: after the deadline a pending payment is expired."""
    return PaymentStatus.EXPIRED if is_due(payment, now) else PaymentStatus(payment.status)


def sequence_at(payment: Timed, now: datetime) -> int:
    """The sequence that belongs to `status_at`: an expiry counts before it is stored."""
    return int(payment.sequence) + (1 if is_due(payment, now) else 0)


def remaining_ms(payment: Timed, now: datetime) -> int:
    """Milliseconds left to pay, by the server's clock; 0 if the payment is resolved or due."""
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
    expected: ExpectedMoney | None = None,
) -> Change:
    """Confirm a payment.

    An expired payment can be confirmed, because a notification may be late. `expected` replaces
    amount and deadline of a payment whose amount depends on the day. Raises AlreadyPaid,
    PaymentCancelled, AmountMismatch, or PaidTooLate if `paid_at` is after the deadline and `grace`.
    """
    expected = expected or ExpectedMoney(payment.amount_centavos, payment.expires_at)
    if payment.status == PaymentStatus.CONFIRMED:
        raise AlreadyPaid("Another receipt settled this payment before.")
    if payment.status == PaymentStatus.CANCELLED:
        raise PaymentCancelled("Its merchant cancelled this payment.")
    is_open = payment.payer_sets_amount and amount_centavos >= expected.least_centavos
    if amount_centavos != expected.amount_centavos and not is_open:
        raise AmountMismatch(
            f"The amount of the payment is {plain(expected.amount_centavos)}, "
            f"but {plain(amount_centavos)} was paid."
        )
    if paid_at > expected.deadline + grace:
        raise PaidTooLate(
            f"The bank took the money at {rfc3339(paid_at)}, "
            f"after the deadline {rfc3339(expected.deadline)}."
        )
    return Change(
        event=EventName.PAYMENT_CONFIRMED,
        message="The payment has been confirmed.",
        from_statuses=(PaymentStatus.PENDING, PaymentStatus.EXPIRED),
        values={
            "status": PaymentStatus.CONFIRMED,
            "amount_centavos": amount_centavos,
            "resolved_at": now,
            "end_to_end_id": end_to_end_id,
            "look_up_at": None,
            # Readers may have seen the sequence of the expiry before the sweep stored it.
            "sequence": sequence_at(payment, now) + 1,
        },
    )


def next_look_up(created_at: datetime, expires_at: datetime, now: datetime) -> datetime | None:
    """The time of the next look-up of a pending or just expired payment.

    Pauses grow, but one look-up comes right after the deadline. None an hour after the deadline.
    """
    if now <= expires_at:
        return min(now + _pause(now - created_at), expires_at + LOOK_UP_PAUSE_MIN)
    if now > expires_at + LOOK_UP_AFTER_EXPIRY:
        return None
    return now + _pause(now - expires_at)


def _pause(age: timedelta) -> timedelta:
    return min(max(age / 2, LOOK_UP_PAUSE_MIN), LOOK_UP_PAUSE_MAX)


def expire(payment: Standing | type[Payment]) -> Change:
    """Expire a payment; the caller has checked that it is due.

    Given the class `Payment`, the values are SQL expressions, so that the sweep can update many
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


def remove(payment: Standing, now: datetime) -> Change:
    """Cancel a charge of API Pix: it is active also after its deadline. Raises NotRevisable.

    Source: API Pix 2.9.0, CobrancaStatus.
    """
    check_revisable(payment)
    change = _cancelled(payment, now, "")
    return replace(change, from_statuses=(PaymentStatus.PENDING, PaymentStatus.EXPIRED))


def check_revisable(payment: Standing) -> None:
    """Raise NotRevisable if the payment is confirmed or cancelled: both are final."""
    if payment.status not in (PaymentStatus.PENDING, PaymentStatus.EXPIRED):
        raise NotRevisable(f"This payment is {payment.status}, so it cannot change any more.")


def revise(payment: Standing, values: Mapping[str, Any], now: datetime) -> Change:
    """Change what is asked of the payer; a later deadline makes an expired payment payable again.

    Raises NotRevisable.
    """
    check_revisable(payment)
    more: dict[str, Any] = {}
    if payment.status == PaymentStatus.EXPIRED and values.get("expires_at", now) > now:
        more = {"status": PaymentStatus.PENDING, "resolved_at": None}
        more["look_up_at"] = now + LOOK_UP_AFTER
    return Change(
        event=EventName.PAYMENT_REVISED,
        message="The payment has changed.",
        from_statuses=(PaymentStatus.PENDING, PaymentStatus.EXPIRED),
        values={**values, **more, "sequence": sequence_at(payment, now) + 1},
    )


def code_ready(payment: Standing, code: str) -> Change:
    """Give a payment that can still be paid the BR Code that its bank has made."""
    return Change(
        event=EventName.PAYMENT_CODE_READY,
        message="The code of the payment is ready.",
        from_statuses=(PaymentStatus.PENDING,),
        values={"br_code": code, "has_location": True, "sequence": payment.sequence + 1},
    )


def supersede(payment: Standing, now: datetime) -> Change:
    """Cancel an order's newer payment: the older one was paid in time, but notified late."""
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
    """Move the deadline of a payment that can still be paid. Raises NotCancellable."""
    if status_at(payment, now) is not PaymentStatus.PENDING:
        raise NotCancellable("Only a pending payment's deadline can be moved.")
    return Change(
        event=EventName.PAYMENT_REVISED,
        message="The payment's deadline has moved.",
        from_statuses=(PaymentStatus.PENDING,),
        values={"expires_at": expires_at, "sequence": payment.sequence + 1},
    )


def refuse(payment: Standing, reason: str, message: str, now: datetime) -> Change:
    """Store on an unpaid payment that its money is returned, so that every page can say this."""
    return Change(
        event=EventName.RECEIPT_REFUSED,
        message=message,
        from_statuses=(PaymentStatus.EXPIRED, PaymentStatus.PENDING, PaymentStatus.CANCELLED),
        values={"refusal": reason, "sequence": sequence_at(payment, now) + 1},
    )


def check_renewable(payment: Standing, now: datetime) -> None:
    """Raise NotRenewable unless the payment has expired."""
    status = status_at(payment, now)
    if status is not PaymentStatus.EXPIRED:
        raise NotRenewable(f"Only an expired payment can be renewed; this one is {status}.")
