"""Tricks in what is read from the database, and in what a cache saves to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from benchmarks.tricks.trick import Trick, instead, of_method
from db_models import Account, ApiKey, Payment, PaymentStatus, PaymentTrace, Receipt
from payments import unchanged_polls
from payments.location import KeyRing
from repository import accounts, database, page_rows, payments, receipts, traces
from repository.database import Work
from repository.ledgers import Ledger
from repository.page_rows import PolledPayment
from repository.statements import QuickStatement

_TABLE = Payment.__table__


def _polled_row(ledger: Ledger, txid: str) -> PolledPayment | None:
    with ledger.reading_engine.connect() as connection:
        payment = _work(ledger, connection).payments.find_by_txid(txid)
    fields = PolledPayment._fields
    return payment and PolledPayment(*(getattr(payment, name) for name in fields))


def _row_in_unit(ledger: Ledger, statement: QuickStatement, values: Mapping[str, Any]) -> Any:
    with database._translate_errors(ledger), ledger.reading_engine.connect() as connection:
        return statement.row(_work(ledger, connection).connection, values)


def _work(ledger: Ledger, connection: Any) -> Work:
    return Work(connection, ledger.clock.now(), ledger.recent, ledger.callers.answers)


def _statement_by_txid(self: payments.Payments, txid: str) -> Payment | None:
    row = self._unit.connection.execute(select(_TABLE).where(_TABLE.c.txid == txid)).one_or_none()
    return None if row is None else payments.payment_of_row(row)


def find_by_session(column: str) -> Callable[[payments.Payments, str], Payment | None]:
    """A method that finds a payment by this unique column, as an object of the session."""

    def find(self: payments.Payments, value: str) -> Payment | None:
        query = select(Payment).filter_by(**{column: value})
        return self._unit.session.scalars(query).one_or_none()

    return find


def find_receipt_by_session(self: receipts.Receipts, end_to_end_id: str) -> Receipt | None:
    """A method that finds a receipt, as an object of the session."""
    query = select(Receipt).where(Receipt.end_to_end_id == end_to_end_id)
    return self._session.scalars(query).one_or_none()


def _key_session(self: accounts.Accounts, key_sha256: str) -> tuple[Account, ApiKey] | None:
    query = (
        select(Account, ApiKey)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(
            ApiKey.key_sha256 == key_sha256,
            ApiKey.revoked_at.is_(None),
            Account.disabled_at.is_(None),
        )
    )
    row = self._session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def _how_paid_apart(
    self: payments.Payments, payment: Payment
) -> tuple[Payment, Payment | None, Receipt | None]:
    self._with_merchant(payment)
    if payment.status == PaymentStatus.CONFIRMED:
        return payment, None, receipts.Receipts(self._unit).accepted_of(payment.id)
    if payment.status != PaymentStatus.CANCELLED or payment.order_id is None:
        return payment, None, None
    other = self.live_of_order(payment.merchant_id, payment.order_id)
    return payment, other if other and other.status == PaymentStatus.CONFIRMED else None, None


def _find_trace(
    self: traces.Traces, txid: str, kind: str
) -> tuple[int, int, int, datetime | None] | None:
    is_kind = (PaymentTrace.payment_id == Payment.id) & (PaymentTrace.kind == kind)
    query = (
        select(Payment.id, Payment.merchant_id, PaymentTrace.times, PaymentTrace.last_at)
        .outerjoin(PaymentTrace, is_kind)
        .where(Payment.txid == txid)
    )
    row = self._unit.session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1], row[2] or 0, row[3])


def _insert_trace(self: traces.Traces, payment_id: int, kind: str, now: datetime) -> None:
    row = {"payment_id": payment_id, "kind": kind, "first_at": now, "last_at": now, "times": 1}
    self._unit.session.execute(insert(PaymentTrace).values(**row))


def _find_each_time(
    _self: accounts.RecentAccounts, _key: Any, find: Callable[[], Account | None]
) -> Account | None:
    return find()


_active = KeyRing.active


def _load_each_time(self: KeyRing, now: datetime) -> Any:
    self._loaded_at = None
    return _active(self, now)


TRICKS = [
    Trick(
        "five columns",
        "repository/page_rows.py find_polled",
        ("poll", "poll, unchanged"),
        instead((unchanged_polls, "find_polled", _polled_row)),
    ),
    Trick(
        "no unit of work",
        "repository/database.py read_row",
        ("poll, unchanged", "QR"),
        instead((page_rows, "read_row", _row_in_unit)),
    ),
    *of_method(
        payments.Payments,
        "find_by_txid",
        ("statement built once", ("page as JSON",), _statement_by_txid),
        ("read without a session", ("page as JSON", "page"), find_by_session("txid")),
    ),
    *of_method(
        payments.Payments,
        "how_paid",
        ("merchant and other payment by one statement", ("page, cancelled",), _how_paid_apart),
    ),
    *of_method(
        accounts.Accounts,
        "find_by_key_sha256",
        ("without a session, statement built once", ("create by key",), _key_session),
    ),
    Trick(
        "without a session, statements built once",
        "repository/traces.py find, insert",
        ("trace",),
        instead((traces.Traces, "find", _find_trace), (traces.Traces, "insert", _insert_trace)),
    ),
    Trick(
        "accounts cached for two seconds",
        "repository/accounts.py RecentAccounts",
        ("create", "page"),
        instead((accounts.RecentAccounts, "get", _find_each_time)),
    ),
    Trick(
        "cached signing keys",
        "payments/location.py KeyRing",
        ("payload",),
        instead((KeyRing, "active", _load_each_time)),
    ),
]
