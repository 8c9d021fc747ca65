"""UPDATEs that wait for the COMMIT: a guard behind them ends the command if no row matches."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa

from core.errors import ConcurrentUpdate
from repository import hosts
from repository.connections import (
    engine_options,
    flush_before_statements,
    read_results_quickly,
)
from repository.database import in_unit_of_work, unit_of_work
from repository.driver_errors import is_away, is_conflict
from repository.hosts import use_hosts
from repository.mysql_connections import ONE_ROW_GUARD, answer_guard, quick_connection
from repository.payments import Payments
from repository.statements import QuickStatement, flush_deferred
from tests.db.crowd import at_once
from tests.support.databases import create_database
from tests.support.plugin import SERVERS
from tests.support.service import end_to_end_id

PARTS = sa.MetaData()
ROWS = sa.Table(
    "guarded_rows",
    PARTS,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("text", sa.String(60), unique=True),
    sa.Column("version", sa.Integer, nullable=False),
)
NOTES = sa.Table(
    "notes_of_changes",
    PARTS,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("note", sa.String(60), unique=True),
)
CHANGE = QuickStatement(
    sa.update(ROWS).where(
        ROWS.c.id == sa.bindparam("row"), ROWS.c.version == sa.bindparam("as_read")
    )
)
CHANGE_ALL = QuickStatement(sa.update(ROWS).where(ROWS.c.version == sa.bindparam("as_read")))
INSERT, NOTE = QuickStatement(sa.insert(ROWS)), QuickStatement(sa.insert(NOTES))
MODES = [
    "",
    "TRADITIONAL",
    "ANSI,NO_UNSIGNED_SUBTRACTION",
    "PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,REAL_AS_FLOAT,NO_BACKSLASH_ESCAPES",
]
KILLS = 4
WRITERS = 6

on_mysql = pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)


def open_engine(url):
    """An engine as the service opens it for units of work."""
    engine = sa.create_engine(url, **engine_options(url, green=False))
    use_hosts(engine)
    read_results_quickly(engine)
    hosts.allow_deferring(engine)
    flush_before_statements(engine)
    return engine


@pytest.fixture
def engine(any_database_url):
    """An engine with the tables, and two rows of version 1."""
    engine = open_engine(any_database_url)
    PARTS.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(ROWS), [{"text": f"row {n}", "version": 1} for n in (1, 2)])
    yield engine
    engine.dispose()


def defer(connection, row, text, *, as_read=1, version=2):
    """Change one row if it still has the version that was read."""
    values = {"row": row, "as_read": as_read, "text": text, "version": version}
    return CHANGE.defer_change(connection, values)


def note(connection, text):
    """A row that the same COMMIT stores."""
    NOTE.defer_insert(connection, {"note": text}, lambda key: key)


def state(engine):
    """The texts and versions by id, and the notes."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(ROWS).order_by(ROWS.c.id)).all()
        notes = connection.execute(sa.select(NOTES.c.note).order_by(NOTES.c.id)).scalars().all()
    return {row.id: (row.text, row.version) for row in rows}, list(notes)


UNCHANGED = {1: ("row 1", 1), 2: ("row 2", 1)}


def test_the_commit_changes_the_row(engine):
    """Between the rows that were deferred before and after it, also if no value is new."""
    with engine.begin() as connection:
        note(connection, "before")
        assert defer(connection, 1, "new")
        note(connection, "after")
    assert state(engine) == ({**UNCHANGED, 1: ("new", 2)}, ["before", "after"])
    with engine.begin() as connection:
        assert defer(connection, 1, "new", as_read=2, version=2)
        note(connection, "same values")
    assert state(engine) == ({**UNCHANGED, 1: ("new", 2)}, ["before", "after", "same values"])


@on_mysql
@pytest.mark.parametrize("mode", MODES)
def test_the_change_that_comes_second_stores_nothing(engine, mode):
    """In every mode of the server: not the rows before and after the UPDATE, and no earlier one."""

    def set_mode(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = %s", (mode,))

    engine.dispose()
    sa.event.listen(engine, "connect", set_mode)
    with pytest.raises(sa.exc.OperationalError) as refused:
        change_after_another(engine)
    assert is_conflict(refused.value)
    assert state(engine) == ({**UNCHANGED, 1: ("first", 2)}, [])
    for version in range(2, 6):  # the connections of the pool are usable
        with engine.begin() as connection:
            assert defer(connection, 1, "next", as_read=version, version=version + 1)
            note(connection, f"next {version}")
    notes = [f"next {version}" for version in range(2, 6)]
    assert state(engine) == ({**UNCHANGED, 1: ("next", 6)}, notes)


def change_after_another(engine):
    """A transaction with a change of a row that another one changes before its COMMIT."""
    with engine.begin() as connection:
        NOTE.insert(connection, {"note": "sent at once"})
        note(connection, "before")
        assert defer(connection, 1, "second")
        note(connection, "after")
        with engine.begin() as first:
            assert defer(first, 1, "first")


@on_mysql
def test_an_update_of_two_rows_stores_nothing(engine):
    """One row decides: two would be a mistake of the statement."""
    with pytest.raises(sa.exc.OperationalError), engine.begin() as connection:
        assert CHANGE_ALL.defer_change(connection, {"as_read": 1, "version": 2})
    assert state(engine) == (UNCHANGED, [])


@on_mysql
def test_only_the_guard_is_taken_for_a_conflict(engine):
    """Any other number that is too large stays what it is: repeating it would not help."""
    too_large = QuickStatement(
        sa.update(ROWS)
        .where(ROWS.c.id == sa.bindparam("row"))
        .values(version=sa.text("18446744073709551615 + version"))
    )
    with pytest.raises(sa.exc.DBAPIError) as refused, engine.begin() as connection:
        too_large.defer_change(connection, {"row": 1})
    assert not is_conflict(refused.value)
    assert state(engine) == (UNCHANGED, [])


def test_the_rest_of_the_transaction_sees_the_change(engine):
    """Readers, and an INSERT into the same table that needs what the UPDATE frees."""
    with engine.begin() as connection:
        defer(connection, 1, "new")
        texts = connection.execute(sa.select(ROWS.c.text).order_by(ROWS.c.id)).scalars().all()
        assert texts == ["new", "row 2"]
        defer(connection, 2, "newer")
        INSERT.insert(connection, {"text": "row 2", "version": 1})
    rows, _ = state(engine)
    assert [text for text, _ in rows.values()] == ["new", "newer", "row 2"]


@on_mysql
def test_nothing_is_committed_after_a_deferred_statement_has_failed(engine):
    """Code that goes on after the error of a query would store the event without its change."""
    with engine.connect() as connection:
        transaction = connection.begin()
        assert defer(connection, 1, "stale", as_read=9)
        note(connection, "event of the change")
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.select(ROWS))
        note(connection, "another event")
        with pytest.raises(sa.exc.OperationalError) as refused:
            transaction.commit()
        assert is_conflict(refused.value)
        transaction.rollback()  # as `repository.database` does
    assert state(engine) == (UNCHANGED, [])
    with engine.begin() as connection:
        note(connection, "the connection is usable")
    assert state(engine) == (UNCHANGED, ["the connection is usable"])


def test_a_savepoint_keeps_what_came_before_and_forgets_what_it_undoes(engine):
    """Deferred statements know nothing of savepoints, so they are sent before one begins."""
    with engine.begin() as connection:
        assert defer(connection, 1, "before")
        note(connection, "before")
        savepoint = connection.begin_nested()
        assert defer(connection, 2, "undone")
        note(connection, "undone")
        savepoint.rollback()
        with connection.begin_nested():
            note(connection, "kept")
    assert state(engine) == ({**UNCHANGED, 1: ("before", 2)}, ["before", "kept"])


class ConfusingServer:
    """A server in front of MariaDB that answers a COMMIT as an interrupted command may end.

    The first answer says that more follow; the next packet has the number of a new command.
    """

    OK = b"\x07\x00\x00\x01\x00\x01\x00\x0a\x00\x00\x00"
    ERROR = b"\xff" + (1927).to_bytes(2, "little") + b"#70100Connection was killed"

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._database = port
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._database))
        copying = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        with client, server:
            copying.start()
            with suppress(ConnectionResetError):  # a client that has not read everything resets it
                while data := client.recv(65_536):
                    if b"COMMIT" in data:
                        error = len(self.ERROR).to_bytes(3, "little") + b"\x01" + self.ERROR
                        client.sendall(self.OK + error)
                    else:
                        server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            copying.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)

    def close(self) -> None:
        """Wait until the client has gone."""
        self._accepting.join()
        self._listener.close()


@on_mysql
def test_an_answer_that_cannot_be_followed_is_a_lost_connection(engine):
    """Not an error of the service: PyMySQL calls it an internal one, and closes the connection."""
    confusing = ConfusingServer(engine.url.port)
    url = engine.url.set(port=confusing.port).render_as_string(hide_password=False)
    other = open_engine(url)
    with pytest.raises(sa.exc.OperationalError) as lost, other.begin() as connection:  # noqa: PT012
        assert defer(connection, 1, "new")
        note(connection, "event")
    assert is_away(lost.value)
    other.dispose()
    confusing.close()
    assert state(engine) == (UNCHANGED, [])


@on_mysql
def test_a_statement_beyond_the_limit_of_the_server_can_be_repeated(engine):
    """As a lock that is waited for too long."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION max_statement_time = 0.05")
        with pytest.raises(sa.exc.DBAPIError) as ended:
            connection.exec_driver_sql("SELECT 1 FROM seq_1_to_100000000 WHERE MOD(seq, 2) = 3")
    assert is_away(ended.value)


@on_mysql
@pytest.mark.parametrize(
    "need", [flush_deferred, lambda connection: connection.execute(sa.select(ROWS))]
)
def test_a_change_that_is_needed_before_the_commit_may_come_second_too(engine, need):
    """The error is that of the COMMIT, so the unit of work starts again."""
    with engine.connect() as connection:
        assert defer(connection, 1, "second")
        note(connection, "after")
        with engine.begin() as first:
            assert defer(first, 1, "first")
        with pytest.raises(sa.exc.OperationalError) as refused:
            need(connection)
        assert is_conflict(refused.value)
        connection.rollback()
    assert state(engine) == ({**UNCHANGED, 1: ("first", 2)}, [])


def test_a_rollback_forgets_the_change(engine):
    """The next transaction on the connection must not store it."""
    with engine.connect() as connection:
        connection.begin()
        defer(connection, 1, "rolled back")
        connection.rollback()
        connection.execute(sa.select(NOTES))
        connection.commit()
    with engine.connect() as connection:
        connection.begin()
        defer(connection, 2, "given back")
    with engine.begin() as connection:
        connection.execute(sa.select(NOTES))
    assert state(engine) == (UNCHANGED, [])


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)  # SQLite has one writer
def test_many_changes_of_one_row_at_once_are_stored_one_after_the_other(engine):
    """Each note stands for a version: no two writers may have read the same one."""

    def write(number):
        for _ in range(10):
            with engine.connect() as connection:
                read = connection.execute(sa.select(ROWS.c.version).where(ROWS.c.id == 1)).scalar()
                try:
                    if not defer(connection, 1, f"by {number}", as_read=read, version=read + 1):
                        connection.rollback()
                        continue
                    note(connection, f"version {read + 1}")
                    connection.commit()
                except sa.exc.DBAPIError as error:
                    if not is_conflict(error):
                        raise
                    connection.rollback()

    at_once([partial(write, number) for number in range(WRITERS)])
    rows, notes = state(engine)
    last = rows[1][1]
    assert last > 2
    assert sorted(notes) == sorted(f"version {version}" for version in range(2, last + 1))


@on_mysql
@pytest.mark.parametrize(("may_defer", "has_guard"), [(False, True), (True, False)])
def test_where_the_guard_may_not_end_a_command_changes_are_sent_at_once(
    engine, monkeypatch, may_defer, has_guard
):
    """A node of a cluster may run the rest of a command in a new transaction."""
    monkeypatch.setattr(hosts, "_has_guard", lambda _connection: has_guard)
    monkeypatch.setattr(hosts, "_variable", lambda _connection, _name: not may_defer)
    engine.dispose()
    with engine.connect() as connection:
        driver: Any = quick_connection(connection.connection)
        assert (driver.may_defer, driver.may_defer_changes) == (may_defer, False)
        assert not defer(connection, 1, "never read so", as_read=7)
        assert defer(connection, 1, "at once")
        assert not driver.has_deferred_for(ROWS.name)


@on_mysql
@pytest.mark.parametrize(("part", "other"), [("+", "-"), ("<> 1", "<> 99")])
def test_a_server_is_asked_whether_it_refuses_the_guard(engine, monkeypatch, part, other):
    """If it accepts the value, a change that matched no row could be committed.

    If it refuses the guard behind one row as well, no change could be committed.
    """
    with engine.connect() as connection:
        driver: Any = quick_connection(connection.connection)
        assert driver.may_defer_changes
        monkeypatch.setattr(hosts, "ONE_ROW_GUARD", ONE_ROW_GUARD.replace(part, other))
        assert not hosts._has_guard(driver)


@on_mysql
@pytest.mark.parametrize(("part", "other"), [("IF(", "NOT IF("), ("0, 1", "0, 0")])
def test_a_server_is_asked_whether_it_compares_answers(engine, monkeypatch, part, other):
    """If it lets a wrong answer pass, a revoked key could store a payment."""

    def guard_of_another_server(question, answer):
        return answer_guard(question, answer).replace(part, other)

    with engine.connect() as connection:
        driver: Any = quick_connection(connection.connection)
        monkeypatch.setattr(hosts, "answer_guard", guard_of_another_server)
        assert not hosts._has_guard(driver)


@pytest.mark.parametrize("refused", [" INTO ", "SET ", "SELECT"])
def test_a_server_that_refuses_the_question_gets_no_guard(refused):
    """It must not lose its connections: such a server is only sent each UPDATE at once."""

    class Cursor:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

        def execute(self, text):
            if refused in text:
                raise pymysql.ProgrammingError(1064, "You have an error in your SQL syntax")

    class Connection:
        cursor = Cursor

    assert not hosts._has_guard(Connection())


def without_lock(monkeypatch):
    """Let confirmations read their payment without its lock, so that they race for the row."""

    def look(self, txid, _end_to_end_id):
        self._locked = payment = self.find_by_txid(txid)
        time.sleep(random.uniform(0, 0.01))
        return payment, timedelta(0), True

    monkeypatch.setattr(Payments, "lock_for_money", look)


def test_of_many_payers_without_a_lock_one_is_accepted(processes, monkeypatch):
    """The lock saves attempts; the guard decides. All others get their money back."""
    without_lock(monkeypatch)
    payment = processes.create()
    answers = at_once(
        [
            partial(processes.bank(n).confirm, payment, end_to_end_id=end_to_end_id())
            for n in range(8)
        ]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    verdicts = [row.verdict for row in processes.tables.receipts(payment["id"])]
    assert Counter(verdicts) == {"accepted": 1, "refused": 7}
    names = processes.tables.event_names(payment["id"])
    assert names[:2] == ["payment.created", "payment.confirmed"]
    assert names.count("payment.confirmed") == 1


@on_mysql
def test_a_payment_that_is_cancelled_before_the_commit_is_not_confirmed(processes, monkeypatch):
    """Without the lock, and with a cancellation between the look and the COMMIT."""
    payment = processes.create()
    looks = []

    def look(self, txid, _end_to_end_id):
        self._locked = payment = self.find_by_txid(txid)
        looks.append(payment.status)
        if len(looks) == 1:
            at_once([partial(cancel, processes, txid)])
        return payment, timedelta(0), True

    monkeypatch.setattr(Payments, "lock_for_money", look)
    assert processes.bank().confirm(payment).status_code == 409
    assert looks == ["pending", "cancelled"]
    assert processes.status(payment["id"])["status"] == "cancelled"
    assert [row.verdict for row in processes.tables.receipts(payment["id"])] == ["refused"]


def cancel(processes, txid):
    """Cancel a payment by another process."""
    assert processes.app(1).test_client().post(f"/payments/pix/{txid}/cancel").status_code == 200


def test_a_status_that_the_change_may_not_start_from_is_refused_at_once(processes):
    """Before anything is sent; a stale sequence is refused at the COMMIT at the latest."""
    txid = processes.create()["id"]
    with processes.app().app_context():
        with unit_of_work() as work:
            payment, _ = work.payments.lock_by_txid(txid)
            assert payment is not None
            assert not work.payments.change(payment, ("expired",), {"refusal": "x"})
        with pytest.raises(ConcurrentUpdate):
            in_unit_of_work(partial(change_stale, txid), attempts=1)
    assert processes.tables.payment(txid).refusal is None


def change_stale(txid, work):
    """Change a payment as if its row had been read earlier."""
    payment, _ = work.payments.lock_by_txid(txid)
    payment.sequence += 5
    if not work.payments.change(payment, ("pending",), {"refusal": "x"}):
        raise ConcurrentUpdate


@on_mysql
def test_only_the_payment_that_is_locked_is_changed_by_the_commit(processes):
    """Of others the number of rows decides at once."""
    locked, other = processes.create()["id"], processes.create()["id"]
    with processes.app().app_context(), unit_of_work() as work:
        payment, _ = work.payments.lock_by_txid(locked)
        second = work.payments.by_txid(other)
        driver: Any = quick_connection(work.connection.connection)
        assert work.payments.change(second, ("pending",), {"refusal": "x"})
        assert not driver.has_deferred_for("payments")
        assert payment is not None
        assert work.payments.change(payment, ("pending",), {"refusal": "x"})
        assert driver.has_deferred_for("payments")
        assert work.payments.by_txid(locked).refusal == "x"
    assert [processes.tables.payment(txid).refusal for txid in (locked, other)] == ["x", "x"]


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.timeout(150)
def test_a_server_that_is_killed_within_the_command_has_stored_all_of_it_or_nothing(
    private_server,
):
    """Writers go on until kill -9; each version must have its note, and each note its version."""
    server = private_server("mysql")
    url = create_database(server.url)
    engine = open_engine(url)
    PARTS.create_all(engine)
    with engine.begin() as connection:
        rows = [{"text": f"row {n}", "version": 0} for n in range(WRITERS)]
        connection.execute(sa.insert(ROWS), rows)
    commits = 0
    for _ in range(KILLS):
        killed = threading.Event()
        writers = [
            threading.Thread(target=write_until, args=(engine, row, killed))
            for row in range(1, WRITERS + 1)
        ]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.2, 0.6))
        server.kill()
        killed.set()
        for writer in writers:
            writer.join(40)
        assert not any(writer.is_alive() for writer in writers)
        engine.dispose()
        server.restart()
        rows_by_id, notes = state(engine)
        expected = [
            f"{row}:{version}"
            for row, (_, last) in rows_by_id.items()
            for version in range(1, last + 1)
        ]
        assert sorted(notes) == sorted(expected)
        assert len(notes) > commits
        commits = len(notes)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.timeout(90)
def test_a_server_that_is_killed_between_the_update_and_the_commit_has_stored_nothing(
    private_server,
):
    """The INSERT behind the UPDATE waits for a row of another transaction meanwhile."""
    server = private_server("mysql")
    engine = open_engine(create_database(server.url))
    PARTS.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(ROWS), [{"text": "row", "version": 1}])
    outcome: list[sa.exc.DBAPIError] = []
    with engine.connect() as other:
        NOTE.insert(other, {"note": "same"})
        writer = threading.Thread(target=change_and_note, args=(engine, outcome))
        writer.start()
        wait_for_insert(engine)
        server.kill()
        writer.join(40)
        other.invalidate()
    assert [type(error) for error in outcome] == [sa.exc.OperationalError]
    assert not is_conflict(outcome[0])
    engine.dispose()
    server.restart()
    assert state(engine) == ({1: ("row", 1)}, [])
    engine.dispose()


def change_and_note(engine, outcome):
    """A command whose second statement must wait; its error goes to `outcome`."""
    try:
        with engine.begin() as connection:
            defer(connection, 1, "changed")
            note(connection, "same")
    except sa.exc.DBAPIError as error:
        outcome.append(error)


def wait_for_insert(engine):
    """Wait until the INSERT of the command waits for its lock."""
    waiting = sa.text(
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE info LIKE 'INSERT INTO notes_of_changes%' AND time_ms > 200"
    )
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar():
                return
        time.sleep(0.02)
    raise AssertionError("no statement waits for a lock")


def write_until(engine, row, killed):
    """Change one row again and again, with a note of each version, until the server is gone."""
    while not killed.is_set():
        try:
            with engine.begin() as connection:
                last = connection.execute(
                    sa.select(ROWS.c.version).where(ROWS.c.id == row)
                ).scalar_one()
                defer(connection, row, f"{row} at {last + 1}", as_read=last, version=last + 1)
                note(connection, f"{row}:{last + 1}")
        except (sa.exc.DBAPIError, OSError):
            if not killed.wait(0.05):
                continue
