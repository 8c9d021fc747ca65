"""The session and the unit of work: the only place that commits."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import structlog
from flask import Flask, g
from sqlalchemy import Connection, exc

from config import Settings, current_parts
from core.clock import Clock
from core.errors import BalcaoError, ConcurrentUpdate, DatabaseUnavailable
from core.runtime.proxies import behind
from db_models.base import db
from repository.assumptions import Assumptions
from repository.connections import (
    CALLERS_CHANGED,
    ENDED,
    POOL_SIZE,
    end_idle_transactions,
    engine_options,
    find_dead_connections,
    flush_before_statements,
    note_changes_of_callers,
    prepare_sqlite,
    read_results_quickly,
    reading_options,
    skip_needless_rollbacks,
)
from repository.driver_errors import is_away, is_conflict, is_unique_violation
from repository.events import StoredEvent
from repository.fair_pool import FairPool
from repository.hosts import allow_deferring, prepare_for_list, read_after_write, use_hosts
from repository.ledgers import Ledger
from repository.statements import QuickStatement, Row
from repository.work import Work

__all__ = [
    "ATTEMPTS_MAX",
    "READING",
    "LostRace",
    "Work",
    "in_unit_of_work",
    "ledger",
    "now",
    "open_database",
    "open_work",
    "read_row",
    "reading",
    "unit_of_work",
]

log = structlog.get_logger()
Result = TypeVar("Result")

ATTEMPTS_MAX = 8
READING = "reading"
"""The name of the bind whose connections only read."""


class LostRace(ConcurrentUpdate):
    """A unique constraint was violated: another transaction was first."""


def open_database(app: Flask, settings: Settings, clock: Clock) -> Ledger:
    """Bind the engines to the app and make them behave alike on every database."""
    # Each request that finds no database answers 503 and logs a line. The pool would add a stack
    # trace for each connection that it cannot close.
    for name in ("sqlalchemy.pool", FairPool.__module__):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    url = settings.database_url
    options = engine_options(url, green=settings.async_mode != "threading")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    is_sqlite = url.startswith("sqlite")
    if not is_sqlite:
        prepare_for_list(url, options)
        if settings.database_pool_size != POOL_SIZE:
            options["pool_size"] = settings.database_pool_size
        options["pool_reset_on_return"] = None  # see skip_needless_rollbacks
        app.config["SQLALCHEMY_BINDS"] = {READING: {**reading_options(options), "url": url}}
    db.init_app(app)
    with app.app_context():
        engine = db.engine
        ledger_ = Ledger(clock, engine, engine if is_sqlite else db.engines[READING])
    note_changes_of_callers(engine)
    if is_sqlite:
        prepare_sqlite(engine)
    else:
        skip_needless_rollbacks(engine)
        allow_deferring(engine)
        flush_before_statements(engine)
        end_idle_transactions(engine)
        for either in (engine, ledger_.reading_engine):
            use_hosts(either)
            read_after_write(either)
            find_dead_connections(either)
            read_results_quickly(either)
    return ledger_


def ledger() -> Ledger:
    """The current app's ledger."""
    return current_parts().ledger


def now() -> datetime:
    """The current instant by the app's clock."""
    return ledger().clock.now()


@contextmanager
def unit_of_work(*, may_assume: bool = False) -> Iterator[Work]:
    """Open a transaction: returning commits and calls the listeners, raising rolls back.

    With `may_assume` it may begin with credentials that were looked up shortly before. They are
    verified before it ends, by a return or by an error; the caller repeats it after
    ConcurrentUpdate.

    Raises DatabaseUnavailable if the database is away, ConcurrentUpdate after a deadlock and
    LostRace after a violated unique constraint. A unit of work inside another raises RuntimeError.
    """
    context = behind(g)
    if context.get("in_unit_of_work"):
        raise RuntimeError("a unit of work is already open")
    context.in_unit_of_work = True
    ledger_ = ledger()
    changes_callers = False
    assumptions: Assumptions | None = None
    is_committed = False
    try:
        with _translate_errors(ledger_), _transaction(ledger_) as connection:
            answers = ledger_.callers.answers
            assumptions = Assumptions(connection) if may_assume else None
            work = Work(connection, ledger_.clock.now(), ledger_.recent, answers, assumptions)
            info = connection.info  # a connection that is lost meanwhile has none
            outer, context.open_work = context.get("open_work"), work
            try:
                yield work
            except Exception as error:
                # A conflict is repeated with a true look-up, and 503 says nothing of the rows.
                is_harmless = isinstance(_own_error(error), (ConcurrentUpdate, DatabaseUnavailable))
                if assumptions is not None and not is_harmless:
                    assumptions.check()
                raise
            finally:
                context.open_work = outer
                work.close()
                changes_callers = bool(info.pop(CALLERS_CHANGED, False))
        is_committed = True
        if work.recorded_events:  # an empty transaction commits on a full disk as well
            ledger_.written_at = work.now
    finally:
        context.in_unit_of_work = False
        if changes_callers:  # also after an error: a COMMIT without an answer may have been done
            ledger_.callers.change()
        if assumptions is not None:
            assumptions.end(is_committed=is_committed)
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
        try:
            transaction.commit()
        except BaseException:
            # The transaction may still be open: SQLAlchemy would give it back to the pool so.
            transaction.rollback()
            raise
        connection.info[ENDED] = True
    finally:
        _give_back(connection)


def in_unit_of_work(do: Callable[[Work], Result], attempts: int = ATTEMPTS_MAX) -> Result:
    """Run a unit of work; retry it from the start after ConcurrentUpdate.

    Raises ConcurrentUpdate when every attempt failed.
    """
    for attempt in range(attempts):
        try:
            # Only the first attempt assumes: a true look-up follows whatever went wrong.
            with unit_of_work(may_assume=attempt == 0 and attempts > 1) as work:
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
    with _translate_errors(ledger_):
        connection = ledger_.reading_engine.connect()
        try:
            answers = ledger_.callers.answers
            work = Work(connection, ledger_.clock.now(), ledger_.recent, answers)
            context = behind(g)
            outer, context.open_work = context.get("open_work"), work
            try:
                yield work
            finally:
                context.open_work = outer
                work.close()
        finally:
            _give_back(connection)


def read_row(ledger_: Ledger, statement: QuickStatement, values: Mapping[str, Any]) -> Row | None:
    """The first row of a SELECT, or None, where that is all that is read.

    Needs no app context. Raises DatabaseUnavailable and ConcurrentUpdate.
    """
    with _translate_errors(ledger_):
        return statement.row_alone(ledger_.reading_engine, values)


def open_work() -> Work | None:
    """The work that is open in this context, for a look-up deep below: a second one would wait
    for a connection that this one holds."""
    work: Work | None = g.get("open_work")
    return work


def _give_back(connection: Connection) -> None:
    """Roll back what was not committed; discard the connection if it died."""
    try:
        connection.close()
    except (exc.DBAPIError, OSError):
        if not connection.closed:  # it is, if the error said that the host accepts no writes
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
def _translate_errors(ledger_: Ledger) -> Iterator[None]:
    """Raise our own errors for those of the drivers."""
    try:
        yield
    except Exception as error:
        own = _own_error(error)
        if own is None or own is error:
            raise
        if isinstance(own, DatabaseUnavailable) and not isinstance(error, exc.TimeoutError):
            ledger_.lost_at = ledger_.clock.now()
        raise own from error


def _own_error(error: Exception) -> BalcaoError | None:
    """What an error in a unit of work means: itself, one of ours for a driver's, or None."""
    if isinstance(error, BalcaoError):
        return error
    if isinstance(error, exc.IntegrityError) and is_unique_violation(error):
        return LostRace()
    if isinstance(error, exc.DBAPIError) and is_conflict(error):
        return ConcurrentUpdate()
    is_lost = isinstance(error, exc.DBAPIError) and is_away(error)
    # A driver may not wrap the error of a reset connection.
    if is_lost or isinstance(error, (exc.TimeoutError, OSError)):
        return DatabaseUnavailable()
    return None
