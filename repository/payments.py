"""Queries on payments; the rules are in `payments.lifecycle`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, cast

from sqlalchemy import (
    CursorResult,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm.attributes import set_committed_value

from core import ids
from core.errors import PaymentNotFound
from db_models import Account, Payment, PaymentStatus, Receipt
from repository.connections import Unit
from repository.detached import Detached
from repository.paging import Cursor, Page
from repository.payment_list import (
    ListTotals,
    PaymentFilters,
    page_by_receipt,
    page_of_merchant,
    totals_of_merchant,
)
from repository.statements import QuickStatement


class Payments:
    """Queries on payments."""

    def __init__(self, unit: Unit, merchant: Callable[[int], Account]) -> None:
        """Use the connection of the unit of work; `merchant` finds the account with a row id."""
        self._unit = unit
        self._merchant = merchant
        self._locked: Payment | None = None

    def by_txid(self, txid: str) -> Payment:
        """The payment with its merchant. Raises PaymentNotFound."""
        return self._with_merchant(self._require(self.find_by_txid(txid)))

    def by_txid_and_how_paid(self, txid: str) -> tuple[Payment, Payment | None, Receipt | None]:
        """As `how_paid`, for the payment with this id. Runs two statements at most.

        Raises PaymentNotFound.
        """
        return self.how_paid(self._require(self.find_by_txid(txid)))

    def how_paid(self, payment: Payment) -> tuple[Payment, Payment | None, Receipt | None]:
        """The payment with its merchant, the payment that paid its order, and its own receipt.

        The second is read if the payment is cancelled, and the third if it is confirmed. Runs one
        statement at most.
        """
        elsewhere: Payment | None = None
        receipt: Receipt | None = None
        ids_ = {"merchant_id": payment.merchant_id}
        connection = self._unit.connection
        if payment.status == PaymentStatus.CONFIRMED:
            row = _MERCHANT_AND_RECEIPT.one(connection, {**ids_, "payment_id": payment.id})
            receipt = _RECEIPTS.of_outer(row[_ACCOUNTS.width :])
        elif payment.status == PaymentStatus.CANCELLED and payment.order_id is not None:
            row = _MERCHANT_AND_PAID_ELSEWHERE.one(
                connection, {**ids_, "order_id": payment.order_id}
            )
            other = row[_ACCOUNTS.width :]
            elsewhere = None if other[0] is None else payment_of_row(other)
        else:
            return self._with_merchant(payment), None, None
        merchant = _ACCOUNTS.of(row[: _ACCOUNTS.width])
        set_committed_value(payment, "merchant", merchant)
        return payment, elsewhere, receipt

    def own(self, merchant: Account, txid: str) -> Payment:
        """The merchant's payment. Raises PaymentNotFound.

        Another merchant's payment raises the same error, so that nobody learns that it exists.
        """
        payment = self._require(self.find_by_txid(txid))
        if payment.merchant_id != merchant.id:
            raise PaymentNotFound
        set_committed_value(payment, "merchant", merchant)
        return payment

    def by_watch_code(self, watch_code: str) -> Payment:
        """The payment with this watch code, with its merchant. Raises PaymentNotFound."""
        return self._with_merchant(self._require(self.find_by_watch_code(watch_code)))

    def by_location(self, token: str) -> Payment:
        """The payment that the location with this token shows, with its merchant.

        Raises PaymentNotFound.
        """
        payment = self._one(_BY_LOCATION, {"token": token}) if ids.is_txid(token) else None
        return self._with_merchant(self._require(payment))

    def find_by_watch_code(self, watch_code: str) -> Payment | None:
        """The payment with this watch code, without its merchant, or None; fast, for polling."""
        if not ids.is_txid(watch_code):
            return None
        return self._one(_BY_WATCH_CODE, {"watch_code": watch_code})

    def by_row_ids(self, ids: Collection[int]) -> dict[int, Payment]:
        """These payments by their row ids, without their merchants; runs one statement."""
        payments = self._unit.session.scalars(select(Payment).where(Payment.id.in_(ids)))
        return {payment.id: payment for payment in payments}

    def find_by_txid(self, txid: str) -> Payment | None:
        """The payment without its merchant, or None; fast, for polling."""
        if not ids.is_txid(txid):  # other text never reaches the database
            return None
        return self._one(_BY_TXID, {"txid": txid})

    def _one(self, query: QuickStatement, key: Mapping[str, Any]) -> Payment | None:
        """A payment by a unique column. Uses no session: that costs more than the statement."""
        row = query.row(self._unit.connection, key)
        return None if row is None else _payment_of(zip(_ATTRIBUTES, row, strict=True))

    def lock_by_txid(self, txid: str) -> tuple[Payment | None, timedelta]:
        """The payment, locked until the transaction ends, and its merchant's grace; or (None, 0).

        The lock only saves concurrent writers a failed attempt; the conditional update decides.
        The merchant's row is not locked, because that would block all of its payments.
        """
        payment, grace, _ = self.lock_for_money(txid, "")
        return payment, grace

    def lock_for_money(
        self, txid: str, end_to_end_id: str
    ) -> tuple[Payment | None, timedelta, bool]:
        """As `lock_by_txid`, and whether there may be a receipt of this end_to_end_id.

        False only for a pending payment and an id of which no receipt was committed when the
        statement began. If one is committed since, storing another raises LostRace.
        """
        key = {"txid": txid, "end_to_end_id": end_to_end_id}
        row = _LOCKED_FOR_MONEY.row(self._unit.connection, key)
        if row is None:
            return None, timedelta(0), True
        *values, seconds, has_receipt = row
        self._locked = payment = _payment_of(zip(_ATTRIBUTES, values, strict=True))
        may_be_repeated = bool(has_receipt) or payment.status != PaymentStatus.PENDING
        return payment, timedelta(seconds=seconds or 0), may_be_repeated

    def insert(self, values: Mapping[str, Any], merchant: Account) -> Payment:
        """Store a new payment; return it with its merchant, as if it had been read back."""
        payment = _new_payment(values, merchant)
        payment.__dict__["id"] = _INSERT.insert(self._unit.connection, _columns(values))
        return payment

    def defer_insert(self, values: Mapping[str, Any], merchant: Account) -> Payment:
        """As `insert`, but the COMMIT may store the row; then the payment has no id before it.

        Only the payment's event, recorded directly after this, may be stored without the id.
        """
        payment = _new_payment(values, merchant)
        set_id = partial(payment.__dict__.__setitem__, "id")
        _INSERT.defer_insert(self._unit.connection, _columns(values), set_id)
        return payment

    def change(
        self, payment: Payment, from_statuses: Collection[str], values: Mapping[str, Any]
    ) -> bool:
        """Update the payment if nobody changed it since it was read; False otherwise.

        On success the given object has the new values as well. The COMMIT may update the payment
        that was locked last; if that matches no row, it stores nothing and raises ConcurrentUpdate.
        """
        statement, connection = _change(tuple(from_statuses)), self._unit.connection
        row = {"row": payment.id, "as_read": payment.sequence, **values}
        if payment is self._locked:
            if payment.status not in from_statuses or not statement.defer_change(connection, row):
                return False
            payment.__dict__.update(values)  # as in `_payment_of`
            return True
        if statement.change(connection, row) != 1:
            return False
        for name, value in values.items():
            set_committed_value(payment, name, value)
        return True

    def live_of_order(self, merchant_id: int, order_id: str) -> Payment | None:
        """The order's pending or confirmed payment, if it has one."""
        live = select(Payment).where(
            Payment.merchant_id == merchant_id, Payment.live_order_id == order_id
        )
        return self._unit.session.scalars(live).one_or_none()

    def successor_of(self, payment_id: int) -> Payment | None:
        """The payment that renewed this one, with its merchant, if there is one."""
        query = select(Payment).where(Payment.renewed_from_id == payment_id)
        successor = self._unit.session.scalars(query).one_or_none()
        return None if successor is None else self._with_merchant(successor)

    def first_of_chain(self, payment: Payment, steps_max: int) -> Payment:
        """The payment at the beginning of the chain of renewals, at most `steps_max` before."""
        first = payment
        for _ in range(steps_max):
            if first.renewed_from_id is None:
                break
            query = select(Payment).where(Payment.id == first.renewed_from_id)
            first = self._unit.session.scalars(query).one()
        return first

    def ids_due(self, now: datetime, limit: int) -> Sequence[int]:
        """Row ids of pending payments whose deadline has passed, oldest first; index only."""
        query = select(Payment.id).where(
            Payment.status == PaymentStatus.PENDING, Payment.expires_at < now
        )
        return self._unit.session.scalars(query.order_by(Payment.expires_at).limit(limit)).all()

    def lock_due(self, ids: Sequence[int], now: datetime) -> Sequence[Payment]:
        """Lock and return those of these payments that are still due, in the order of row ids."""
        query = (
            select(Payment)
            .where(
                Payment.id.in_(ids),
                Payment.status == PaymentStatus.PENDING,
                Payment.expires_at < now,
            )
            .order_by(Payment.id)
            .with_for_update()
        )
        return self._unit.session.scalars(query).all()

    def change_due(self, ids: Sequence[int], now: datetime, values: Mapping[str, Any]) -> int:
        """Update those of these payments that are still due; return how many.

        A value may be an expression over the columns of `Payment`.
        """
        still_due = update(Payment).where(
            Payment.id.in_(ids),
            Payment.status == PaymentStatus.PENDING,
            Payment.expires_at < now,
        )
        result = self._unit.connection.execute(still_due.values(**values))
        return cast("CursorResult[Any]", result).rowcount

    def oldest_due(self, now: datetime) -> datetime | None:
        """The oldest deadline that the sweep has not handled yet, or None."""
        query = select(Payment.expires_at).where(
            Payment.status == PaymentStatus.PENDING, Payment.expires_at < now
        )
        return self._unit.session.scalars(query.order_by(Payment.expires_at).limit(1)).one_or_none()

    def received(
        self,
        merchant_id: int,
        span: tuple[datetime | None, datetime | None],
        cursor: Cursor | None,
        limit: int,
    ) -> Page[Payment]:
        """A page of the payments that were paid within the span, the newest receipt first.

        Both ends are inclusive; None is no end. Raises InvalidCursor.
        """
        return page_by_receipt(self._unit.session, merchant_id, span, cursor, limit)

    def totals(self, merchant_id: int, filters: PaymentFilters, now: datetime) -> ListTotals:
        """The sums of the merchant's newest payments that meet the filters."""
        return totals_of_merchant(self._unit.session, merchant_id, filters, now)

    def of_merchant(
        self,
        merchant_id: int,
        filters: PaymentFilters,
        cursor: Cursor | None,
        limit: int,
        now: datetime,
    ) -> Page[Payment]:
        """A page of the merchant's payments, newest first, without the merchant.

        Raises InvalidCursor. See `page_of_merchant` about short pages that have a next page.
        """
        session = self._unit.session
        return page_of_merchant(session, merchant_id, filters, cursor, limit, now)

    def _require(self, payment: Payment | None) -> Payment:
        if payment is None:
            raise PaymentNotFound
        return payment

    def _with_merchant(self, payment: Payment) -> Payment:
        """Attach the merchant. It is read separately because it is usually cached."""
        set_committed_value(payment, "merchant", self._merchant(payment.merchant_id))
        return payment


# Built once: building a statement costs more than executing it.
_TABLE = Payment.__table__
_ACCOUNTS, _RECEIPTS = Detached(Account), Detached(Receipt)
_INSERT = QuickStatement(insert(_TABLE))
_ATTRIBUTES = [Payment.__mapper__.get_property_by_column(column).key for column in _TABLE.c]
_UNSET = {
    attribute: None if column.default is None else column.default.arg
    for column, attribute in zip(_TABLE.c, _ATTRIBUTES, strict=True)
    if column.computed is None and (column.nullable or column.default is not None)
}
"""Defaults for the attributes of a new payment."""
_BY_TXID = QuickStatement(select(_TABLE).where(_TABLE.c.txid == bindparam("txid")))
_BY_WATCH_CODE = QuickStatement(
    select(_TABLE).where(_TABLE.c.watch_code == bindparam("watch_code"))
)
_BY_LOCATION = QuickStatement(
    select(_TABLE).where(
        _TABLE.c.has_location,
        or_(
            _TABLE.c.location_token == bindparam("token"),
            and_(_TABLE.c.watch_code == bindparam("token"), _TABLE.c.location_token.is_(None)),
        ),
    )
)
_LOCKED_FOR_MONEY = QuickStatement(
    select(
        _TABLE,
        select(Account.grace_seconds).where(Account.id == _TABLE.c.merchant_id).scalar_subquery(),
        exists().where(Receipt.end_to_end_id == bindparam("end_to_end_id")),
    )
    .where(_TABLE.c.txid == bindparam("txid"))
    .with_for_update()
)
_MERCHANT_AND_PAID_ELSEWHERE = QuickStatement(
    select(Account.__table__, Payment.__table__)
    .outerjoin_from(
        Account.__table__,
        Payment.__table__,
        (Payment.merchant_id == Account.id)
        & (Payment.live_order_id == bindparam("order_id"))
        & (Payment.status == PaymentStatus.CONFIRMED),
    )
    .where(Account.id == bindparam("merchant_id"))
)
_MERCHANT_AND_RECEIPT = QuickStatement(
    select(Account.__table__, Receipt.__table__)
    .outerjoin_from(
        Account.__table__,
        Receipt.__table__,
        Receipt.settles_payment_id == bindparam("payment_id"),
    )
    .where(Account.id == bindparam("merchant_id"))
)


def _payment_of(values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Payment:
    """A payment with the values of its row, detached from any session.

    Skips the attributes' setters: they track changes for a flush, and there is nothing to flush.
    """
    payment = Payment()
    payment.__dict__.update(values)
    return payment


def _new_payment(values: Mapping[str, Any], merchant: Account) -> Payment:
    """A payment with these values, before it has an id."""
    payment = _payment_of({**_UNSET, **values, "id": None})
    set_committed_value(payment, "merchant", merchant)
    return payment


def payment_of_row(row: Sequence[Any]) -> Payment:
    """The payment in the columns of `Payment.__table__.c`, in their order, without a session."""
    return _payment_of(zip(_ATTRIBUTES, row, strict=True))


def payment_from(payment: Payment, values: Mapping[str, Any]) -> Payment:
    """A copy of the payment with other values, detached from any session."""
    attributes = [(name, getattr(payment, name)) for name in _ATTRIBUTES]
    copy = _payment_of({**dict(attributes), **values})
    if "merchant" in payment.__dict__:
        set_committed_value(copy, "merchant", payment.merchant)
    return copy


@lru_cache
def _change(from_statuses: tuple[str, ...]) -> QuickStatement:
    """An update of the row `row`, if its status and its sequence (`as_read`) are unchanged."""
    return QuickStatement(
        update(_TABLE).where(
            _TABLE.c.id == bindparam("row"),
            # Not `in_`, whose parameters SQLAlchemy writes at each execution.
            or_(*(_TABLE.c.status == status for status in from_statuses)),
            _TABLE.c.sequence == bindparam("as_read"),
        )
    )


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by column name; the declarative base reserves the attribute `metadata`."""
    return {("metadata" if name == "details" else name): value for name, value in values.items()}
