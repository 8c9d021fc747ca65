"""The session and the unit of work: the only place that commits."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TypeVar

import structlog
from flask import Flask, g
from sqlalchemy import Connection, exc
from sqlalchemy.orm import Session

from config import Settings, current_parts
from core.clock import Clock
from core.errors import BalcaoError, ConcurrentUpdate, DatabaseUnavailable, NotFound
from db_models import Account, Recurrence, RecurrenceChange, RecurringChargeChange
from db_models.base import db
from repository.accounts import Accounts, RecentAccounts
from repository.audit import Audit
from repository.charge_batches import ChargeBatches
from repository.charges import Charges
from repository.connections import (
    ENDED,
    end_idle_transactions,
    engine_options,
    find_dead_connections,
    prepare_sqlite,
    reading_options,
    skip_needless_rollbacks,
)
from repository.driver_errors import is_away, is_conflict, is_unique_violation
from repository.events import Events, StoredEvent
from repository.idempotent_requests import IdempotentRequests
from repository.ledgers import Ledger
from repository.locations import Locations
from repository.oauth_clients import OAuthClients
from repository.payer_bank_orders import PayerBankOrders
from repository.payments import Payments
from repository.receipts import Receipts
from repository.reconciliations import Reconciliations
from repository.recurrence_callbacks import RecurrenceCallbacks
from repository.recurrence_requests import RecurrenceRequests
from repository.recurrences import RecurrenceLocations, Recurrences
from repository.recurring_charge_callbacks import RecurringChargeCallbacks
from repository.recurring_charges import RecurringChargeRecord, RecurringCharges
from repository.refunds import Refunds
from repository.robot_payments import RobotPayments
from repository.sign_ins import SignIns
from repository.signals import Signals
from repository.signing_keys import SigningKeys
from repository.tills import Tills

log = structlog.get_logger()
Result = TypeVar("Result")

ATTEMPTS_MAX = 8
READING = "reading"
"""The name of the bind whose connections only read."""


class LostRace(ConcurrentUpdate):
    """A unique constraint was violated: another transaction was first."""


class Work:
    """One unit of work: a connection, its queries, and the single instant of everything in it.

    The session and the query objects are created at first use: a session costs more than a short
    statement.
    """

    def __init__(self, connection: Connection, now: datetime, recent: RecentAccounts) -> None:
        """Use this connection; the caller commits or rolls back."""
        self.connection = connection
        self.now = now
        self.recent = recent
        self.recorded_events: list[StoredEvent] = []
        self.has_deliveries = False
        """Whether it stored deliveries itself; those of events are stored later."""

    @cached_property
    def session(self) -> Session:
        """The session for whole rows, on the same connection: it neither commits nor expires."""
        return Session(self.connection, autoflush=False, expire_on_commit=False)

    @cached_property
    def payments(self) -> Payments:
        """Queries on payments."""
        return Payments(self, self._merchant)

    @cached_property
    def charges(self) -> Charges:
        """Queries on charges of API Pix."""
        return Charges(self)

    @cached_property
    def charge_batches(self) -> ChargeBatches:
        """Queries on batches of charges."""
        return ChargeBatches(self, self._merchant)

    @cached_property
    def locations(self) -> Locations:
        """Queries on locations."""
        return Locations(self)

    @cached_property
    def recurrences(self) -> Recurrences:
        """Queries on recurrences."""
        return Recurrences(self.session)

    @cached_property
    def recurrence_locations(self) -> RecurrenceLocations:
        """Queries on locations of recurrences."""
        return RecurrenceLocations(self.session)

    @cached_property
    def recurring_charges(self) -> RecurringCharges:
        """Queries on charges of recurrences."""
        return RecurringCharges(self.session)

    @cached_property
    def recurrence_requests(self) -> RecurrenceRequests:
        """Queries on requests to payers to confirm a recurrence."""
        return RecurrenceRequests(self.session)

    @cached_property
    def receipts(self) -> Receipts:
        """Queries on receipts."""
        return Receipts(self.session)

    @cached_property
    def reconciliations(self) -> Reconciliations:
        """Queries on reconciliations."""
        return Reconciliations(self.session)

    @cached_property
    def refunds(self) -> Refunds:
        """Queries on refunds."""
        return Refunds(self.session)

    @cached_property
    def payer_bank_orders(self) -> PayerBankOrders:
        """Queries on orders to the payer's bank."""
        return PayerBankOrders(self.session)

    @cached_property
    def robot_payments(self) -> RobotPayments:
        """Queries on the payments that the bank's robot payer shall pay."""
        return RobotPayments(self.session)

    @cached_property
    def events(self) -> Events:
        """Queries on payment events."""
        return Events(self)

    @cached_property
    def accounts(self) -> Accounts:
        """Queries on accounts and their keys."""
        return Accounts(self.session)

    @cached_property
    def oauth_clients(self) -> OAuthClients:
        """Queries on the clients of API Pix."""
        return OAuthClients(self.session)

    @cached_property
    def sign_ins(self) -> SignIns:
        """Queries on sign-ins."""
        return SignIns(self.session)

    @cached_property
    def audit(self) -> Audit:
        """Queries on the audit."""
        return Audit(self.session)

    @cached_property
    def idempotent_requests(self) -> IdempotentRequests:
        """Queries on the answers stored under idempotency keys."""
        return IdempotentRequests(self.session)

    @cached_property
    def signals(self) -> Signals:
        """Queries on signals."""
        return Signals(self.session)

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """Queries on the keys that sign payloads."""
        return SigningKeys(self.session)

    @cached_property
    def tills(self) -> Tills:
        """Queries on tills."""
        return Tills(self.session)

    def close(self) -> None:
        """Detach the rows that were read; they stay usable."""
        session: Session | None = self.__dict__.get("session")
        if session is not None:
            session.close()

    def _merchant(self, account_id: int) -> Account:
        merchant = self.recent.get(account_id, lambda: self.accounts.find(account_id))
        if merchant is None:
            raise NotFound("The payment's merchant no longer exists.")
        return merchant

    def record(self, event_: StoredEvent) -> None:
        """Store an event together with its change; the commit listeners announce it."""
        self.recorded_events.append(self.events.insert(event_))

    def record_many(self, events: list[StoredEvent]) -> None:
        """Store the same kind of event for several payments at once."""
        self.recorded_events.extend(self.events.insert_many(events))

    def call_back(self, recurrence: Recurrence, change: RecurrenceChange) -> None:
        """Store the callback of a recurrence's new status, if its merchant has an address."""
        if RecurrenceCallbacks(self).insert(recurrence, change):
            self.has_deliveries = True

    def call_back_charge(
        self, record: RecurringChargeRecord, change: RecurringChargeChange
    ) -> None:
        """Store the callback of a recurring charge's step, if its merchant has an address."""
        if RecurringChargeCallbacks(self).insert(record, change):
            self.has_deliveries = True


def open_database(app: Flask, settings: Settings, clock: Clock) -> Ledger:
    """Bind the engines to the app and make them behave alike on every database."""
    # Each request that finds no database answers 503 and logs a line. The pool would add a stack
    # trace for each connection that it cannot close.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    url = settings.database_url
    options = engine_options(url, green=settings.async_mode != "threading")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    is_sqlite = url.startswith("sqlite")
    if not is_sqlite:
        options["pool_reset_on_return"] = None  # see skip_needless_rollbacks
        app.config["SQLALCHEMY_BINDS"] = {READING: {**reading_options(options), "url": url}}
    db.init_app(app)
    with app.app_context():
        engine = db.engine
        ledger_ = Ledger(clock, engine, engine if is_sqlite else db.engines[READING])
    if is_sqlite:
        prepare_sqlite(engine)
    else:
        skip_needless_rollbacks(engine)
        end_idle_transactions(engine)
        find_dead_connections(engine)
        find_dead_connections(ledger_.reading_engine)
    return ledger_


def ledger() -> Ledger:
    """The current app's ledger."""
    return current_parts().ledger


def now() -> datetime:
    """The current instant by the app's clock."""
    return ledger().clock.now()


@contextmanager
def unit_of_work() -> Iterator[Work]:
    """Open a transaction: returning commits and calls the listeners, raising rolls back.

    Raises DatabaseUnavailable if the database is away, ConcurrentUpdate after a deadlock and
    LostRace after a violated unique constraint. A unit of work inside another raises RuntimeError.
    """
    if g.get("in_unit_of_work"):
        raise RuntimeError("a unit of work is already open")
    g.in_unit_of_work = True
    ledger_ = ledger()
    try:
        with _translate_errors(), _transaction(ledger_) as connection:
            work = Work(connection, ledger_.clock.now(), ledger_.recent)
            try:
                yield work
            finally:
                work.close()
        if work.recorded_events:  # an empty transaction commits on a full disk as well
            ledger_.written_at = work.now
    finally:
        g.in_unit_of_work = False
    _call_listeners(work.recorded_events)
    if work.has_deliveries:
        ledger_.on_deliveries()


@contextmanager
def _transaction(ledger_: Ledger) -> Iterator[Connection]:
    """A connection in a transaction: committed at the end, rolled back after an error."""
    connection = ledger_.engine.connect()
    try:
        if ledger_.is_sqlite:
            connection = connection.execution_options(writes=True)
        transaction = connection.begin()
        yield connection
        transaction.commit()
        connection.info[ENDED] = True
    finally:
        _give_back(connection)


def in_unit_of_work(do: Callable[[Work], Result], attempts: int = ATTEMPTS_MAX) -> Result:
    """Run a unit of work; retry it from the start after ConcurrentUpdate.

    Raises ConcurrentUpdate when every attempt failed.
    """
    for attempt in range(attempts):
        try:
            with unit_of_work() as work:
                result = do(work)
        except ConcurrentUpdate:
            if attempt == attempts - 1:
                raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        else:
            return result
    raise ConcurrentUpdate


@contextmanager
def reading() -> Iterator[Work]:
    """Open a connection that only reads; its rows stay usable after it is closed.

    Each statement sees the rows that are committed when it begins.
    """
    ledger_ = ledger()
    with _translate_errors():
        connection = ledger_.reading_engine.connect()
        try:
            work = Work(connection, ledger_.clock.now(), ledger_.recent)
            try:
                yield work
            finally:
                work.close()
        finally:
            _give_back(connection)


def _give_back(connection: Connection) -> None:
    """Roll back what was not committed; discard the connection if it died."""
    try:
        connection.close()
    except (exc.DBAPIError, OSError):
        connection.invalidate()


def _call_listeners(recorded: list[StoredEvent]) -> None:
    if not recorded:
        return
    for listener in ledger().commit_listeners:
        try:
            listener(recorded)
        except Exception:
            # The relay announces the events later; the request itself has succeeded.
            log.exception("listener.failed", events=[event_.name for event_ in recorded])


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise our own errors for those of the drivers."""
    try:
        yield
    except BalcaoError:
        raise
    except exc.IntegrityError as error:
        if is_unique_violation(error):
            raise LostRace from error
        raise
    except exc.TimeoutError as error:
        raise DatabaseUnavailable from error
    except OSError as error:  # pg8000 does not wrap the error of a reset connection
        ledger().lost_at = now()
        raise DatabaseUnavailable from error
    except exc.DBAPIError as error:
        if is_conflict(error):
            raise ConcurrentUpdate from error
        if is_away(error):
            ledger().lost_at = now()
            raise DatabaseUnavailable from error
        raise
