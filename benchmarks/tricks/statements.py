"""Tricks in the statements that change rows, and in how statements are sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Connection as AnyConnection
from sqlalchemy import CursorResult, exists, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value

from benchmarks.tricks.reads import find_by_session, find_receipt_by_session
from benchmarks.tricks.trick import Trick, instead, near_and_far, of_method, uncached
from db_models import Account, Payment, PaymentEvent, Receipt
from repository import events, payments, receipts
from repository.statements import QuickStatement, flush_deferred

OnStored = Callable[[events.StoredEvent], object]
_Locked = tuple[Payment | None, timedelta, bool]
_NO_PAYMENT: _Locked = None, timedelta(0), True
_TABLE = Payment.__table__
_PAYMENTS = "repository/payments.py"
_INSERTS = "insert", "defer_insert"
"""The plain form of an INSERT also replaces the one that may wait for the COMMIT."""
_LOCK = payments.Payments.lock_for_money


def _by_sqlalchemy(*_: Any) -> None:
    """No statement is compiled beforehand."""


def _insert_at_once(
    self: QuickStatement,
    connection: AnyConnection,
    values: Mapping[str, Any],
    on_stored: Callable[[int], object],
) -> None:
    on_stored(self.insert(connection, values))


def _payment_by_setters(values: Any) -> Payment:
    return Payment(**dict(values))


def _with(merchant: Account, payment: Payment) -> Payment:
    set_committed_value(payment, "merchant", merchant)
    return payment


def _insert_statement(
    self: payments.Payments, values: Mapping[str, Any], merchant: Account
) -> Payment:
    result = self._unit.connection.execute(insert(_TABLE), payments._columns(values))
    return _inserted(result, values, merchant)


def _insert_class(self: payments.Payments, values: Mapping[str, Any], merchant: Account) -> Payment:
    result = self._unit.session.execute(insert(Payment).values(**values))
    return _inserted(result, values, merchant)


def _inserted(result: Any, values: Mapping[str, Any], merchant: Account) -> Payment:
    row = {**payments._UNSET, **values, "id": _row_id(result)}
    return _with(merchant, payments._payment_of(row))


def _row_id(result: Any) -> int:
    return int(result.inserted_primary_key[0])


def _insert_orm(self: payments.Payments, values: Mapping[str, Any], merchant: Account) -> Payment:
    payment = Payment(**{**payments._UNSET, **values})
    self._unit.session.add(payment)
    self._unit.session.flush()
    return _with(merchant, payment)


def _lock_query(payment: Any, columns: Any, txid: str, end_to_end_id: str) -> Any:
    """The payment, its merchant's grace, and whether there is a receipt."""
    grace = select(Account.grace_seconds).where(Account.id == columns.merchant_id)
    receipt = exists().where(Receipt.end_to_end_id == end_to_end_id)
    query = select(payment, grace.scalar_subquery(), receipt)
    return query.where(columns.txid == txid).with_for_update()


def _lock_statement(self: payments.Payments, txid: str, end_to_end_id: str) -> _Locked:
    query = _lock_query(_TABLE, _TABLE.c, txid, end_to_end_id)
    row = self._unit.connection.execute(query).one_or_none()
    if row is None:
        return _NO_PAYMENT
    *values, seconds, has_receipt = row
    payment = payments._payment_of(zip(payments._ATTRIBUTES, values, strict=True))
    return payment, timedelta(seconds=seconds or 0), has_receipt


def _lock_session(self: payments.Payments, txid: str, end_to_end_id: str) -> _Locked:
    query = _lock_query(Payment, Payment, txid, end_to_end_id)
    row = self._unit.session.execute(query).one_or_none()
    if row is None:
        return _NO_PAYMENT
    return row[0], timedelta(seconds=row[1] or 0), row[2]


def _lock_twice(self: payments.Payments, txid: str, end_to_end_id: str) -> _Locked:
    session = self._unit.session
    receipt = exists().where(Receipt.end_to_end_id == end_to_end_id)
    query = select(Payment, receipt).where(Payment.txid == txid).with_for_update()
    row = session.execute(query).one_or_none()
    if row is None:
        return _NO_PAYMENT
    grace = select(Account.grace_seconds).where(Account.id == row[0].merchant_id)
    return row[0], timedelta(seconds=session.scalars(grace).one() or 0), row[1]


def _receipt_apart(self: payments.Payments, txid: str, end_to_end_id: str) -> _Locked:
    payment, grace, _ = _LOCK(self, txid, end_to_end_id)
    return payment, grace, True


def _change_plain(
    self: payments.Payments,
    payment: Payment,
    from_statuses: Collection[str],
    values: Mapping[str, Any],
) -> bool:
    statement = (
        update(Payment)
        .where(
            Payment.id == payment.id,
            Payment.status.in_(from_statuses),
            Payment.sequence == payment.sequence,
        )
        .values(**values)
    )
    result = self._unit.session.execute(statement, execution_options={"synchronize_session": False})
    if cast("CursorResult[Any]", result).rowcount != 1:
        return False
    for name, value in values.items():
        set_committed_value(payment, name, value)
    return True


def _receipt_insert(self: receipts.Receipts, values: Mapping[str, Any]) -> None:
    self._session.connection().execute(insert(Receipt.__table__), dict(values))


def _receipt_insert_class(self: receipts.Receipts, values: Mapping[str, Any]) -> None:
    self._session.execute(insert(Receipt).values(**values))


def _event_statement(
    self: events.Events,
    event_: events.StoredEvent,
    on_stored: OnStored,
    payment: Payment | None = None,
) -> None:
    row = _event_row(self, event_, payment)
    result = self._unit.connection.execute(insert(PaymentEvent.__table__), row)
    on_stored(event_._replace(id=_row_id(result), payment_id=row["payment_id"]))


def _event_class(
    self: events.Events,
    event_: events.StoredEvent,
    on_stored: OnStored,
    payment: Payment | None = None,
) -> None:
    row = _event_row(self, event_, payment)
    result = self._unit.session.execute(insert(PaymentEvent).values(**row))
    on_stored(event_._replace(id=_row_id(result), payment_id=row["payment_id"]))


def _event_row(
    self: events.Events, event_: events.StoredEvent, payment: Payment | None
) -> dict[str, Any]:
    if payment is None:
        return events._row(event_)
    flush_deferred(self._unit.connection)  # the payment's own, so that it has an id
    return {**events._row(event_), "payment_id": payment.id}


def _both(query: type[Any], plain: Any) -> list[tuple[Any, str, Any]]:
    return [(query, name, plain) for name in _INSERTS]


_NO_SESSION = instead(
    (payments.Payments, "find_by_txid", find_by_session("txid")),
    *_both(payments.Payments, _insert_orm),
    (payments.Payments, "lock_for_money", _lock_session),
    (payments.Payments, "change", _change_plain),
    *_both(receipts.Receipts, _receipt_insert_class),
    (receipts.Receipts, "find_by_end_to_end_id", find_receipt_by_session),
    (events.Events, "insert", _event_class),
)

TRICKS = [
    Trick(
        "all of repository/ through the session, statements built each time",
        "repository/",
        ("page as JSON", "create", "confirm"),
        _NO_SESSION,
    ),
    Trick(
        "sent by the driver's cursor",
        "repository/statements.py QuickStatement",
        ("create", "create by key", "confirm", "page as JSON", "poll, unchanged"),
        instead((QuickStatement, "_compiled", _by_sqlalchemy)),
    ),
    *near_and_far(
        Trick(
            "sent with COMMIT",
            "repository/statements.py defer_insert",
            ("create", "confirm"),
            instead((QuickStatement, "defer_insert", _insert_at_once)),
        )
    ),
    Trick(
        "filled without its setters",
        f"{_PAYMENTS} _payment_of",
        ("page as JSON", "create", "confirm"),
        instead((payments, "_payment_of", _payment_by_setters)),
    ),
    Trick(
        "statements built once",
        "repository/payments.py, receipts.py, events.py insert",
        ("create", "confirm"),
        instead(
            *_both(payments.Payments, _insert_statement),
            *_both(receipts.Receipts, _receipt_insert),
            (events.Events, "insert", _event_statement),
        ),
    ),
    *of_method(
        payments.Payments,
        _INSERTS,
        ("on the table, without a session", ("create",), _insert_class),
        ("on the table, without a session (against add and flush)", ("create",), _insert_orm),
    ),
    *of_method(
        payments.Payments,
        "lock_for_money",
        ("statement built once", ("confirm",), _lock_statement),
        ("without a session", ("confirm",), _lock_session),
        ("payment and grace by one statement", ("confirm",), _lock_twice),
        (
            "payment and whether there is a receipt by one statement",
            ("confirm",),
            _receipt_apart,
        ),
    ),
    Trick("cached statements", f"{_PAYMENTS} _change", ("confirm",), uncached(payments, "_change")),
    *of_method(
        payments.Payments,
        "change",
        ("on the table, without a session", ("confirm",), _change_plain),
    ),
    *of_method(receipts.Receipts, _INSERTS, ("on the table", ("confirm",), _receipt_insert_class)),
    *of_method(events.Events, "insert", ("on the table", ("create", "confirm"), _event_class)),
]
