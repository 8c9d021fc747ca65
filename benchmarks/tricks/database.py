"""Tricks between a request and its database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

from flask import Flask
from pymysql.connections import Connection
from sqlalchemy import Connection as AnyConnection
from sqlalchemy import CursorResult, event, exists, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value

from accounts import keys
from benchmarks.tricks.trick import Trick, instead, together, uncached
from config import parts_of
from db_models import (
    Account,
    ApiKey,
    Payment,
    PaymentEvent,
    PaymentStatus,
    PaymentTrace,
    Receipt,
)
from payments import unchanged_polls
from payments.location import KeyRing
from realtime.announcer import Announcer
from repository import (
    accounts,
    connections,
    database,
    events,
    page_rows,
    payments,
    receipts,
    traces,
)
from repository.database import Work, in_unit_of_work
from repository.ledgers import Ledger
from repository.mysql_connections import QuickConnection
from repository.page_rows import PolledPayment
from repository.statements import QuickStatement

TABLE = Payment.__table__


def _polled_row(ledger: Ledger, txid: str) -> PolledPayment | None:
    with ledger.reading_engine.connect() as connection:
        work = Work(connection, ledger.clock.now(), ledger.recent, ledger.callers.answers)
        payment = work.payments.find_by_txid(txid)
    fields = PolledPayment._fields
    return payment and PolledPayment(*(getattr(payment, name) for name in fields))


def _row_in_unit(ledger: Ledger, statement: QuickStatement, values: Mapping[str, Any]) -> Any:
    with database._translate_errors(ledger), ledger.reading_engine.connect() as connection:
        work = Work(connection, ledger.clock.now(), ledger.recent, ledger.callers.answers)
        return statement.row(work.connection, values)


def _by_sqlalchemy(*_: Any) -> None:
    """No statement is compiled beforehand."""


def _statement_by_txid(self: payments.Payments, txid: str) -> Payment | None:
    row = self._unit.connection.execute(select(TABLE).where(TABLE.c.txid == txid)).one_or_none()
    return None if row is None else payments.payment_of_row(row)


def _session_by_txid(self: payments.Payments, txid: str) -> Payment | None:
    query = select(Payment).where(Payment.txid == txid)
    return self._unit.session.scalars(query).one_or_none()


def _payment_by_setters(values: Any) -> Payment:
    return Payment(**dict(values))


def _insert_statement(
    self: payments.Payments, values: Mapping[str, Any], merchant: Account
) -> Payment:
    result = self._unit.connection.execute(insert(TABLE), payments._columns(values))
    key: Any = result.inserted_primary_key
    return _with(merchant, payments._payment_of({**payments._UNSET, **values, "id": int(key[0])}))


def _insert_orm(self: payments.Payments, values: Mapping[str, Any], merchant: Account) -> Payment:
    payment = Payment(**{**payments._UNSET, **values})
    self._unit.session.add(payment)
    self._unit.session.flush()
    return _with(merchant, payment)


def _with(merchant: Account, payment: Payment) -> Payment:
    set_committed_value(payment, "merchant", merchant)
    return payment


def _insert_class(self: payments.Payments, values: Mapping[str, Any], merchant: Account) -> Payment:
    result: Any = self._unit.session.execute(insert(Payment).values(**values))
    row_id = int(result.inserted_primary_key[0])
    return _with(merchant, payments._payment_of({**payments._UNSET, **values, "id": row_id}))


def _lock_statement(
    self: payments.Payments, txid: str, end_to_end_id: str
) -> tuple[Payment | None, timedelta, bool]:
    grace = select(Account.grace_seconds).where(Account.id == TABLE.c.merchant_id).scalar_subquery()
    receipt = exists().where(Receipt.end_to_end_id == end_to_end_id)
    query = select(TABLE, grace, receipt).where(TABLE.c.txid == txid).with_for_update()
    row = self._unit.connection.execute(query).one_or_none()
    if row is None:
        return None, timedelta(0), True
    *values, seconds, has_receipt = row
    payment = payments._payment_of(zip(payments._ATTRIBUTES, values, strict=True))
    return payment, timedelta(seconds=seconds or 0), has_receipt


def _lock_session(
    self: payments.Payments, txid: str, end_to_end_id: str
) -> tuple[Payment | None, timedelta, bool]:
    grace = select(Account.grace_seconds).where(Account.id == Payment.merchant_id)
    receipt = exists().where(Receipt.end_to_end_id == end_to_end_id)
    query = select(Payment, grace.scalar_subquery(), receipt).where(Payment.txid == txid)
    row = self._unit.session.execute(query.with_for_update()).one_or_none()
    if row is None:
        return None, timedelta(0), True
    return row[0], timedelta(seconds=row[1] or 0), row[2]


def _lock_twice(
    self: payments.Payments, txid: str, end_to_end_id: str
) -> tuple[Payment | None, timedelta, bool]:
    session = self._unit.session
    receipt = exists().where(Receipt.end_to_end_id == end_to_end_id)
    row = session.execute(
        select(Payment, receipt).where(Payment.txid == txid).with_for_update()
    ).one_or_none()
    if row is None:
        return None, timedelta(0), True
    grace = select(Account.grace_seconds).where(Account.id == row[0].merchant_id)
    return row[0], timedelta(seconds=session.scalars(grace).one() or 0), row[1]


def _receipt_apart(
    self: payments.Payments, txid: str, end_to_end_id: str
) -> tuple[Payment | None, timedelta, bool]:
    payment, grace, _ = _LOCK(self, txid, end_to_end_id)
    return payment, grace, True


_PYMYSQL: Any = Connection
_LOCK = payments.Payments.lock_for_money


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


def _payload_session(self: payments.Payments, watch_code: str) -> Payment | None:
    query = select(Payment).where(Payment.watch_code == watch_code)
    return self._unit.session.scalars(query).one_or_none()


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


def _receipt_statement(self: receipts.Receipts, end_to_end_id: str) -> Receipt | None:
    query = select(Receipt).where(Receipt.end_to_end_id == end_to_end_id)
    return self._session.scalars(query).one_or_none()


def _receipt_insert(self: receipts.Receipts, values: Mapping[str, Any]) -> None:
    self._session.connection().execute(insert(Receipt.__table__), dict(values))


def _receipt_insert_class(self: receipts.Receipts, values: Mapping[str, Any]) -> None:
    self._session.execute(insert(Receipt).values(**values))


def _insert_at_once(
    self: QuickStatement,
    connection: AnyConnection,
    values: Mapping[str, Any],
    on_stored: Callable[[int], object],
) -> None:
    on_stored(self.insert(connection, values))


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


OnStored = Callable[[events.StoredEvent], object]


def _event_statement(
    self: events.Events,
    event_: events.StoredEvent,
    on_stored: OnStored,
    payment: Payment | None = None,
) -> None:
    row = {**events._row(event_), "payment_id": payment.id if payment else event_.payment_id}
    result = self._unit.connection.execute(insert(PaymentEvent.__table__), row)
    key: Any = result.inserted_primary_key
    on_stored(replace(event_, id=int(key[0]), payment_id=row["payment_id"]))


def _event_class(
    self: events.Events,
    event_: events.StoredEvent,
    on_stored: OnStored,
    payment: Payment | None = None,
) -> None:
    row = {**events._row(event_), "payment_id": payment.id if payment else event_.payment_id}
    result: Any = self._unit.session.execute(insert(PaymentEvent).values(**row))
    on_stored(replace(event_, id=int(result.inserted_primary_key[0]), payment_id=row["payment_id"]))


_make_work = Work.__init__


def _work_with_session(self: Work, *arguments: Any) -> None:
    _make_work(self, *arguments)
    self.session  # noqa: B018 - created because it is measured


def _work_with_all(self: Work, *arguments: Any) -> None:
    _make_work(self, *arguments)
    for name in _QUERIES:
        getattr(self, name)


_QUERIES = [
    name
    for name, value in vars(Work).items()
    if type(value).__name__ == "cached_property" and name != "session"
]


def _find_each_time(
    _self: accounts.RecentAccounts, _key: Any, find: Callable[[], Account | None]
) -> Account | None:
    return find()


@contextmanager
def _one_pool(app: Flask) -> Iterator[None]:
    """Read through the pool of units of work, in a transaction that is rolled back."""
    ledger = parts_of(app).ledger
    with patch.object(ledger, "reading_engine", ledger.engine):
        yield


def _pings(engine: Any) -> None:
    engine.pool._pre_ping = True


def _rollbacks(engine: Any) -> None:
    @event.listens_for(engine, "reset")
    def _reset(connection: Any, record: Any, _state: Any) -> None:
        record.info.pop(connections.ENDED, None)
        connection.rollback()


_note = keys.KeyUses.note


def _write_each_use(_self: keys.KeyUses, key_id: int, at: datetime) -> None:
    in_unit_of_work(lambda work: work.accounts.note_key_use(key_id, at))


@contextmanager
def _mark_each(app: Flask) -> Iterator[None]:
    announcer: Announcer = parts_of(app).announcer
    listeners: list[Any] = parts_of(app).ledger.commit_listeners

    def flush(_events: list[events.StoredEvent]) -> None:
        announcer.flush()

    listeners.append(flush)
    try:
        yield
    finally:
        listeners.remove(flush)


_active = KeyRing.active


def _load_each_time(self: KeyRing, now: datetime) -> Any:
    self._loaded_at = None
    return _active(self, now)


Off = Callable[[Flask], AbstractContextManager[Any]]


def _of_payments(**replaced: Any) -> Off:
    return instead(*((payments.Payments, name, value) for name, value in replaced.items()))


def _for_both(query: type[Any], plain: Any) -> list[tuple[Any, str, Any]]:
    """The plain form of an INSERT, also for one that may wait for the COMMIT."""
    return [(query, "insert", plain), (query, "defer_insert", plain)]


_NO_SESSION: Off = together(
    _of_payments(
        find_by_txid=_session_by_txid,
        insert=_insert_orm,
        defer_insert=_insert_orm,
        lock_for_money=_lock_session,
        change=_change_plain,
    ),
    instead(*_for_both(receipts.Receipts, _receipt_insert_class)),
    instead((receipts.Receipts, "find_by_end_to_end_id", _receipt_statement)),
    instead((events.Events, "insert", _event_class)),
)


def _in(query: type[Any], name: str, plain: Any) -> Off:
    return instead((query, name, plain))


PAYMENTS = "repository/payments.py"
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
    Trick(
        "sent with COMMIT",
        "repository/statements.py defer_insert",
        ("create", "confirm"),
        instead((QuickStatement, "defer_insert", _insert_at_once)),
    ),
    Trick(
        "sent with COMMIT to a distant database",
        "repository/statements.py defer_insert",
        ("create", "confirm"),
        instead((QuickStatement, "defer_insert", _insert_at_once)),
        is_distant=True,
    ),
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
    Trick(
        "statement built once",
        f"{PAYMENTS} find_by_txid",
        ("page as JSON",),
        _of_payments(find_by_txid=_statement_by_txid),
    ),
    Trick(
        "read without a session",
        f"{PAYMENTS} find_by_txid",
        ("page as JSON", "page"),
        _of_payments(find_by_txid=_session_by_txid),
    ),
    Trick(
        "read without a session",
        f"{PAYMENTS} find_by_watch_code",
        ("payload",),
        _of_payments(find_by_watch_code=_payload_session),
    ),
    Trick(
        "without a session, statements built once",
        "repository/traces.py find, insert",
        ("trace",),
        instead(
            (traces.Traces, "find", _find_trace),
            (traces.Traces, "insert", _insert_trace),
        ),
    ),
    Trick(
        "filled without its setters",
        f"{PAYMENTS} _payment_of",
        ("page as JSON", "create", "confirm"),
        instead((payments, "_payment_of", _payment_by_setters)),
    ),
    Trick(
        "statements built once",
        "repository/payments.py, receipts.py, events.py insert",
        ("create", "confirm"),
        together(
            instead(*_for_both(payments.Payments, _insert_statement)),
            instead(*_for_both(receipts.Receipts, _receipt_insert)),
            _in(events.Events, "insert", _event_statement),
        ),
    ),
    Trick(
        "on the table, without a session",
        f"{PAYMENTS} insert",
        ("create",),
        instead(*_for_both(payments.Payments, _insert_class)),
    ),
    Trick(
        "on the table, without a session (against add and flush)",
        f"{PAYMENTS} insert",
        ("create",),
        _of_payments(insert=_insert_orm),
    ),
    Trick(
        "statement built once",
        f"{PAYMENTS} lock_for_money",
        ("confirm",),
        _of_payments(lock_for_money=_lock_statement),
    ),
    Trick(
        "without a session",
        f"{PAYMENTS} lock_for_money",
        ("confirm",),
        _of_payments(lock_for_money=_lock_session),
    ),
    Trick(
        "payment and grace by one statement",
        f"{PAYMENTS} lock_for_money",
        ("confirm",),
        _of_payments(lock_for_money=_lock_twice),
    ),
    Trick(
        "payment and whether there is a receipt by one statement",
        f"{PAYMENTS} lock_for_money",
        ("confirm",),
        _of_payments(lock_for_money=_receipt_apart),
    ),
    Trick(
        "without a session, statement built once",
        "repository/accounts.py find_by_key_sha256",
        ("create by key",),
        _in(accounts.Accounts, "find_by_key_sha256", _key_session),
    ),
    Trick(
        "descriptions of columns parsed once",
        "repository/mysql_connections.py QuickConnection",
        ("create by key", "confirm", "poll", "page"),
        _in(QuickConnection, "_read_query_result", _PYMYSQL._read_query_result),
    ),
    Trick(
        "cached statements",
        f"{PAYMENTS} _change",
        ("confirm",),
        uncached(payments, "_change"),
    ),
    Trick(
        "on the table, without a session",
        f"{PAYMENTS} change",
        ("confirm",),
        _of_payments(change=_change_plain),
    ),
    Trick(
        "merchant and other payment by one statement",
        f"{PAYMENTS} how_paid",
        ("page, cancelled",),
        _of_payments(how_paid=_how_paid_apart),
    ),
    Trick(
        "statement built once",
        "repository/receipts.py find_by_end_to_end_id",
        ("confirm",),
        _in(receipts.Receipts, "find_by_end_to_end_id", _receipt_statement),
    ),
    Trick(
        "on the table",
        "repository/receipts.py insert",
        ("confirm",),
        instead(*_for_both(receipts.Receipts, _receipt_insert_class)),
    ),
    Trick(
        "on the table",
        "repository/events.py insert",
        ("create", "confirm"),
        _in(events.Events, "insert", _event_class),
    ),
    Trick(
        "session created at first use",
        "repository/database.py Work",
        ("poll", "create"),
        _in(Work, "__init__", _work_with_session),
    ),
    Trick(
        "session and queries created at first use",
        "repository/database.py Work",
        ("poll", "create"),
        _in(Work, "__init__", _work_with_all),
    ),
    Trick(
        "accounts cached for two seconds",
        "repository/accounts.py RecentAccounts",
        ("create", "page"),
        _in(accounts.RecentAccounts, "get", _find_each_time),
    ),
    Trick(
        "a pool in autocommit mode",
        "repository/connections.py reading_options",
        ("poll", "page"),
        _one_pool,
    ),
    Trick(
        "the same, with a distant database",
        "repository/connections.py reading_options",
        ("poll",),
        _one_pool,
        is_distant=True,
    ),
    Trick(
        "the socket polled instead of a ping",
        "repository/connections.py find_dead_connections",
        ("poll", "create"),
        instead((database, "find_dead_connections", _pings)),
        is_built_in=True,
    ),
    Trick(
        "the same, with a distant database",
        "repository/connections.py find_dead_connections",
        ("poll", "create"),
        instead((database, "find_dead_connections", _pings)),
        is_built_in=True,
        is_distant=True,
    ),
    Trick(
        "no rollback after a commit",
        "repository/connections.py skip_needless_rollbacks",
        ("create",),
        instead((database, "skip_needless_rollbacks", _rollbacks)),
        is_built_in=True,
    ),
    Trick(
        "the same, with a distant database",
        "repository/connections.py skip_needless_rollbacks",
        ("create",),
        instead((database, "skip_needless_rollbacks", _rollbacks)),
        is_built_in=True,
        is_distant=True,
    ),
    Trick(
        "uses of keys written later",
        "accounts/keys.py KeyUses",
        ("list by key",),
        _in(keys.KeyUses, "note", _write_each_use),
    ),
    Trick(
        "events marked as announced later",
        "realtime/announcer.py flush",
        ("confirm",),
        _mark_each,
    ),
    Trick(
        "cached signing keys",
        "payments/location.py KeyRing",
        ("payload",),
        _in(KeyRing, "active", _load_each_time),
    ),
]
