"""Without Redis a look-up of an API key is reused in a unit of work whose COMMIT verifies it."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import g
from pymysql.err import OperationalError

from accounts.access import acting_merchant, caller_by_token, current_caller
from accounts.keys import SCOPES, key_hash, key_uses, new_api_key
from config import parts_of
from core.errors import (
    ConcurrentUpdate,
    DatabaseUnavailable,
    NotFound,
    TooManyRequests,
    Unauthorized,
)
from db_models import Account, ApiKey, Payment
from repository import hosts, recent_callers
from repository.accounts import Accounts
from repository.database import in_unit_of_work, unit_of_work
from repository.driver_errors import is_conflict
from repository.mysql_connections import QuickConnection, answer_guard, quick_connection
from repository.statements import check_guards
from tests.db.crowd import at_once
from tests.db.tables import NOON, payment_row
from tests.db.test_deferred_changes import MODES
from web import request_counts

CREATE = "/payments/pix"
CREATORS = 6

on_mysql = pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
off_mysql = pytest.mark.parametrize("any_database_url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(autouse=True)
def _long_memory(monkeypatch):
    """Answers are reused for an hour: a slow machine must not make a test pass."""
    monkeypatch.setattr(recent_callers, "CALLERS_SECONDS", 3600.0)
    monkeypatch.setattr(recent_callers, "_AGE_MAX", timedelta(hours=1))


class Shop:
    """The demo merchant's programs with a key, at one of the processes."""

    def __init__(self, processes, number=0):
        self.processes, self.number = processes, number
        self.key = new_api_key()
        row = {"key_sha256": key_hash(self.key), "label": "till", "created_at": NOON}
        merchant_id = processes.tables.merchant_id()
        processes.tables.insert(
            ApiKey, {**row, "scopes": " ".join(SCOPES), "account_id": merchant_id}
        )
        self.headers = {"Authorization": f"Bearer {self.key}"}

    @property
    def row(self):
        """The condition that finds the key's row."""
        return ApiKey.key_sha256 == key_hash(self.key)

    def sends_request(self):
        """The context of a request with the key at the first process."""
        return self.processes.app().test_request_context(CREATE, headers=self.headers)

    def post(self, path=CREATE, number=None, **fields):
        """The answer to a POST with the key."""
        at = self.number if number is None else number
        body = {"value": 10, **fields} if path == CREATE else fields
        return self.processes.post(path, at, json=body, headers=self.headers)

    def create(self, **fields):
        """A creation that succeeds."""
        answer = self.post(**fields)
        assert answer.status_code == 201, answer.text
        return answer.json["payment"]

    def revoke(self):
        """Revoke the key as another process does, of any version: it changes one row."""
        self.processes.tables.change(sa.update(ApiKey).where(self.row).values(revoked_at=NOON))

    def narrow(self, scopes):
        """Take scopes away."""
        self.processes.tables.change(sa.update(ApiKey).where(self.row).values(scopes=scopes))

    def change_account(self, **values):
        """Change the merchant's row."""
        own = Account.id == self.processes.tables.merchant_id()
        self.processes.tables.change(sa.update(Account).where(own).values(**values))

    def is_refused(self, path=CREATE, **fields):
        """Whether a POST gets 401 and stores no payment."""
        before = self.count_payments()
        answer = self.post(path, **fields)
        assert answer.status_code == 401, answer.text
        return self.count_payments() == before

    def count_payments(self):
        """How many payments are stored."""
        return self.processes.tables.rows(sa.select(sa.func.count()).select_from(Payment))[0][0]


@pytest.fixture
def shop(processes):
    """A shop whose key the first process has looked up."""
    shop = Shop(processes)
    shop.create()
    return shop


@pytest.fixture
def lookups(monkeypatch):
    """A list that gets the SHA-256 of each key that is looked up in the database."""
    digests = []
    for name in ("find_by_key_sha256", "find_by_key_with_guard"):
        look_up = getattr(Accounts, name)

        def count(self, digest, look_up=look_up):
            digests.append(digest)
            return look_up(self, digest)

        monkeypatch.setattr(Accounts, name, count)
    return digests


def guards_in(commands):
    """How many guards of a key the commands hold."""
    return sum(command.count("json_array(") for command in commands if "<=>" in command)


# --- what is saved, and where -------------------------------------------------------------------


@on_mysql
def test_a_creation_with_a_key_is_one_command(shop, lookups, commands):
    """The payment, its event, the guard and COMMIT."""
    shop.create(order_id="order-1")
    assert lookups == []
    (command,) = [one for one in commands if "COMMIT" in one]
    assert [one.split(" ", 1)[0] for one in command.split("; ")][-2:] == ["SELECT", "COMMIT"]
    assert guards_in(commands) == 1
    assert commands[:-1] == []
    assert shop.processes.post(CREATE, json={"value": 10}).status_code == 201
    assert guards_in(commands) == 1, "the next transaction sends the guard again"


@off_mysql
def test_nothing_is_remembered_on_the_other_engines(processes, lookups):
    """PostgreSQL commits nothing together; SQLite reads the rows of the transaction's beginning."""
    shop = Shop(processes)
    for _ in range(3):
        shop.create()
    assert lookups == [key_hash(shop.key)] * 3
    assert parts_of(processes.app()).ledger.callers.answers == {}


@on_mysql
def test_a_work_that_only_reads_looks_the_key_up(shop, lookups):
    """It has no COMMIT."""
    client = shop.processes.app().test_client()
    for _ in range(2):
        assert client.get(CREATE, headers=shop.headers).status_code == 200
    assert len(lookups) == 2
    shop.revoke()
    assert client.get(CREATE, headers=shop.headers).status_code == 401


@on_mysql
def test_a_unit_of_work_that_is_not_repeated_looks_the_key_up(shop, lookups):
    """Its ConcurrentUpdate would be the answer."""
    with shop.sends_request():
        in_unit_of_work(acting_merchant, attempts=1)
        g.pop("caller")
        with unit_of_work() as work:
            acting_merchant(work)
    assert len(lookups) == 2


@on_mysql
def test_a_process_that_hears_of_changes_sends_no_guard(shop, lookups, commands):
    """It remembers by itself; what was looked up before it heard is not reused."""
    callers = parts_of(shop.processes.app()).ledger.callers
    callers.hears = lambda: True
    for _ in range(3):
        shop.create()
    assert len(lookups) == 1
    assert guards_in(commands) == 0
    callers.hears = lambda: False
    shop.create()
    assert guards_in(commands) == 1


@on_mysql
def test_a_node_of_a_cluster_gets_no_guard(processes, lookups, commands, monkeypatch):
    """There the beginning of a command may be undone without an error."""
    monkeypatch.setattr(hosts, "_variable", lambda _connection, _name: True)
    shop = Shop(processes, number=1)
    with processes.app(1).app_context():
        parts_of(processes.app(1)).ledger.engine.dispose()
    for _ in range(2):
        shop.create()
    assert len(lookups) == 2
    assert guards_in(commands) == 0


@on_mysql
def test_an_answer_is_reused_for_two_seconds(shop, lookups, monkeypatch):
    """A longer memory would save nothing and hold more."""
    monkeypatch.setattr(recent_callers, "CALLERS_SECONDS", 0.0)
    shop.create()
    assert len(lookups) == 1
    monkeypatch.setattr(recent_callers, "CALLERS_SECONDS", 3600.0)
    monkeypatch.setattr(recent_callers, "_AGE_MAX", timedelta(seconds=2))
    shop.processes.clock.advance(seconds=3)
    shop.create()
    assert len(lookups) == 2


# --- what has changed is seen -------------------------------------------------------------------


@on_mysql
def test_a_key_that_another_process_revoked_stores_nothing(shop, lookups, commands):
    """And is refused again and again; only the first time its old answer is tried."""
    shop.revoke()
    for _ in range(3):
        assert shop.is_refused()
    assert len(lookups) == 3
    assert guards_in(commands) == 1


@on_mysql
def test_a_changed_row_is_tried_once(shop, lookups, commands):
    """The next request looks it up, and the one after that reuses it."""
    shop.change_account(name="New")
    for _ in range(4):
        shop.create()
    assert len(lookups) == 2
    assert guards_in(commands) == 3


@on_mysql
@pytest.mark.parametrize("how", ["command", "row", "deleted"])
def test_an_account_that_was_disabled_stores_nothing(shop, how):
    """By a `flask` command of another process, by hand, and a key whose row is gone."""
    if how == "command":
        answer = (
            shop.processes.app(1).test_cli_runner().invoke(args=["accounts", "disable", "demo"])
        )
        assert answer.exit_code == 0, answer.output
    elif how == "row":
        shop.change_account(disabled_at=NOON)
    else:
        shop.processes.tables.change(sa.delete(ApiKey).where(shop.row))
    assert shop.is_refused()


@on_mysql
def test_a_key_of_another_account_acts_for_that_one(shop):
    """The fingerprint is one of the account, too: a key that was moved must not use the old one."""
    values = {"login": "other", "login_key": "other", "name": "Other", "city": "Recife"}
    row = {**values, "role": "merchant", "created_at": NOON, "pix_key": "other@example.com"}
    shop.processes.tables.insert(Account, row)
    other_id = sa.select(Account.id).where(Account.login == "other").scalar_subquery()
    moved = sa.update(ApiKey).where(shop.row).values(account_id=other_id)
    shop.processes.tables.change(moved)
    txid = shop.create()["id"]
    stored = shop.processes.tables.payment(txid)
    assert stored.merchant_id != shop.processes.tables.merchant_id()


@on_mysql
def test_a_scope_that_was_taken_away_is_missed(shop):
    """403 by the new row, also where the creation had already been made by the old one."""
    shop.narrow("payments:read")
    before = shop.count_payments()
    assert shop.post().status_code == 403
    assert shop.count_payments() == before


@on_mysql
@pytest.mark.parametrize(
    ("old", "new"),
    [("Loja", "Loja Nova"), ("A", "a"), ("e", "é"), ("x", "x "), ("1", "\\1"), ('"', "\\")],
)
def test_a_name_that_has_changed_is_in_the_new_code(shop, old, new):
    """Values that collations or careless hashes take for equal differ, too."""
    shop.change_account(name=old, city=old, support_contact=None)
    shop.create()
    shop.change_account(name=new)
    with shop.sends_request():
        assert in_unit_of_work(acting_merchant).name == new
        g.pop("caller")
    shop.change_account(support_contact="")
    with shop.sends_request():
        assert in_unit_of_work(acting_merchant).support_contact == ""


@on_mysql
@pytest.mark.parametrize("model", [Account, ApiKey])
def test_each_column_but_the_last_use_changes_the_fingerprint(shop, model, commands):
    """Also one that is added later: the guard of a row whose column has changed is refused."""
    tables = shop.processes.tables
    row = shop.row if model is ApiKey else Account.id == tables.merchant_id()
    columns = {column.name for column in model.__table__.columns}
    question = fingerprint_question(commands, shop)
    of_fingerprint = {
        name for name in columns if f"{model.__tablename__}.{name}" in question.replace("`", "")
    }
    assert columns - of_fingerprint == {Account: {"signed_in_at"}, ApiKey: {"last_used_at"}}[model]
    for name, value in {"label": "new", "city": "Olinda", "brand_color": "#112233"}.items():
        if name in columns:
            before = tables.rows(sa.text(question))[0][0]
            tables.change(sa.update(model).where(row).values(**{name: value}))
            assert tables.rows(sa.text(question))[0][0] != before


def fingerprint_question(commands, shop):
    """The SELECT of the fingerprint within the guard of the shop's next creation."""
    shop.create()
    return commands[-1].rpartition(" IF((")[2].partition(") <=> ")[0]


@on_mysql
def test_a_use_that_is_noted_changes_nothing(shop, lookups):
    """The job writes it every half minute, and each sign-in writes its time."""
    with shop.processes.app().app_context():
        assert key_uses().write() == 1
    used_at = shop.processes.tables.rows(sa.select(ApiKey.last_used_at).where(shop.row))[0][0]
    assert used_at is not None
    parts_of(shop.processes.app()).ledger.callers.forget()
    shop.create()
    lookups.clear()
    shop.processes.tables.change(sa.update(ApiKey).where(shop.row).values(last_used_at=NOON))
    shop.change_account(signed_in_at=NOON)
    shop.create()
    assert lookups == []


# --- errors ------------------------------------------------------------------------------------


@on_mysql
def test_errors_of_a_revoked_key_are_401(shop):
    """An error says something of the merchant's payments, so only a valid key gets it."""
    shop.create(order_id="taken")
    payment = shop.create()
    key = {"scopes": ["payments:read"], "label": "x"}
    with_errors: list[tuple[str, dict[str, Any]]] = [
        (CREATE, {"order_id": "taken"}),
        (f"{CREATE}/{'0' * 32}/cancel", {}),
        ("/api/keys", key),
    ]
    shop.narrow("payments:read payments:write")
    shop.create()
    statuses = [shop.post(path, **fields).status_code for path, fields in with_errors]
    assert statuses == [409, 404, 403]
    for path, fields in (*with_errors, (f"{CREATE}/{payment['id']}/cancel", {})):
        shop.processes.tables.change(sa.update(ApiKey).where(shop.row).values(revoked_at=None))
        shop.create()
        shop.create()
        shop.revoke()
        assert shop.is_refused(path, **fields)
    assert shop.processes.status(payment["id"])["status"] == "pending"


@on_mysql
@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (lambda work: work.connection.execute(sa.text("SELECT no_such_column")), sa.exc.DBAPIError),
        (
            lambda work: work.session.execute(sa.select(Payment.id).where(Payment.id == 0)).one(),
            sa.exc.NoResultFound,
        ),
    ],
)
def test_our_own_mistakes_in_sql_say_nothing_to_a_revoked_key(shop, fail, expected):
    """A 500 may depend on rows, and is not repeated."""

    def act(work):
        acting_merchant(work)
        fail(work)

    for is_revoked, error in ((False, expected), (True, Unauthorized)):
        if is_revoked:
            shop.revoke()
        with shop.sends_request(), pytest.raises(error):
            in_unit_of_work(act)


@on_mysql
def test_nothing_is_verified_without_a_guard(shop):
    """A rollback forgets the guards, and what they would have verified stays in doubt."""
    with shop.processes.app().app_context(), unit_of_work() as work:
        with pytest.raises(sa.exc.OperationalError) as caught:
            check_guards(work.connection)
        assert is_conflict(caught.value)


@on_mysql
def test_an_error_costs_one_guard(shop, lookups, commands):
    """A valid key gets its error at once, without another attempt."""
    assert shop.post(f"{CREATE}/{'0' * 32}/cancel").status_code == 404
    assert lookups == []
    assert guards_in(commands) == 1
    assert "COMMIT" not in "".join(commands)
    shop.create()
    assert guards_in(commands) == 2


@on_mysql
def test_a_creation_beyond_the_limit_is_refused_however_often_it_is_tried(shop, monkeypatch):
    """The second attempt must not pass because the first one has asked the counter."""

    def refuse(*_counted):
        raise TooManyRequests(60)

    monkeypatch.setattr(request_counts, "take", refuse)
    before = shop.count_payments()
    assert shop.post().status_code == 429
    shop.change_account(name="New")
    assert shop.post().status_code == 429
    shop.revoke()
    assert shop.post().status_code == 401
    assert shop.count_payments() == before


@on_mysql
@pytest.mark.parametrize("is_noticed", [False, True])
def test_an_error_on_a_lost_connection_is_no_answer(shop, is_noticed):
    """Nobody can verify it, so it must not leave, also if the code has caught the loss."""

    def lose(work):
        acting_merchant(work)
        driver: Any = quick_connection(work.connection.connection)
        driver._force_close()
        if is_noticed:
            with suppress(sa.exc.DBAPIError):
                work.connection.exec_driver_sql("SELECT 1")
            assert work.connection.invalidated
        raise NotFound("What the key must not learn.")

    with shop.sends_request(), pytest.raises(DatabaseUnavailable):
        in_unit_of_work(lose)
    shop.create()


@on_mysql
def test_a_repeated_request_of_a_revoked_key_gets_no_stored_answer(shop):
    """The INSERT of the stored answer fails before the guard is reached."""
    headers = {**shop.headers, "Idempotency-Key": "once"}
    post = partial(shop.processes.post, CREATE, json={"value": 10}, headers=headers)
    first, again = post(), post()
    assert (first.json, again.status_code) == (again.json, 201)
    shop.create()
    shop.revoke()
    assert post().status_code == 401


@on_mysql
def test_a_revoked_key_renews_as_a_stranger(shop):
    """Everybody may renew, but only the merchant sees its own fields."""
    old = [shop.create(expires_in=10) for _ in range(3)]
    shop.processes.clock.advance(minutes=1)
    shop.processes.sweep()
    fields = []
    for number, payment in enumerate(old):
        headers = {} if number == 2 else shop.headers
        if number == 1:
            shop.revoke()
        answer = shop.processes.post(f"{CREATE}/{payment['id']}/renew", headers=headers)
        assert answer.status_code == 201, answer.text
        fields.append(answer.json["payment"].keys())
    assert fields[0] > fields[1] == fields[2]


@on_mysql
def test_a_revoked_key_makes_no_other_key(shop):
    """A thief would keep the account by it."""
    count = "SELECT COUNT(*) FROM api_keys"
    body: dict[str, Any] = {"scopes": ["payments:read"], "label": "x"}
    assert shop.post("/api/keys", **body).status_code == 201
    before = shop.processes.tables.rows(count)
    shop.create()
    shop.revoke()
    assert shop.is_refused("/api/keys", **body)
    assert shop.processes.tables.rows(count) == before


@on_mysql
def test_a_key_may_revoke_itself_and_is_refused_then(shop):
    """Its own change makes the guard refuse, so the second attempt makes it."""
    public_id = shop.processes.tables.rows(sa.select(ApiKey.public_id).where(shop.row))[0][0]
    client = shop.processes.app().test_client()
    assert client.delete(f"/api/keys/{public_id}", headers=shop.headers).status_code == 200
    assert shop.is_refused()


# --- flush, savepoint, rollback ----------------------------------------------------------------


def store(shop, work):
    """Insert a payment without a key."""
    row = payment_row(shop.processes.tables.merchant_id())
    work.connection.execute(sa.insert(Payment.__table__).values(**row))


@on_mysql
@pytest.mark.parametrize("way", ["flush", "savepoint", "undone savepoint", "read", "nothing"])
def test_whatever_is_sent_before_the_guard_is_sent_with_the_commit(shop, commands, way):
    """Also by a unit of work that has stored nothing."""
    attempts = []

    def do(work):
        acting_merchant(work)
        attempts.append(work.assumptions is not None)
        if len(attempts) > 1:
            return
        if way == "flush":
            work.flush_deferred()
        elif way == "read":
            assert work.session.execute(sa.select(Payment.id)).all()
        elif way.endswith("savepoint"):
            with suppress(KeyError), work.connection.begin_nested():
                store(shop, work)
                if way != "savepoint":
                    raise KeyError
        shop.revoke()

    before = shop.count_payments()
    with shop.sends_request(), pytest.raises(Unauthorized):
        in_unit_of_work(do)
    assert attempts == [True]
    assert shop.count_payments() == before
    assert guards_in(commands) == 1


@on_mysql
def test_a_rollback_forgets_the_guard(shop, commands):
    """The connection goes back to the pool: another merchant uses it next."""

    def fail(work):
        acting_merchant(work)
        raise KeyError

    with shop.sends_request(), pytest.raises(KeyError):
        in_unit_of_work(fail)
    shop.revoke()
    commands.clear()
    for _ in range(3):
        assert shop.processes.post(CREATE, json={"value": 10}).status_code == 201
    assert guards_in(commands) == 0


@on_mysql
def test_a_deadlock_is_repeated_with_a_true_look_up(shop, lookups, monkeypatch):
    """The second attempt uses neither the first one's caller nor what others remember meanwhile."""
    attempts = []

    def remember(*_range):
        at_once([shop.create])
        return 0

    monkeypatch.setattr(random, "uniform", remember)

    def do(work):
        attempts.append(acting_merchant(work))
        if len(attempts) == 1:
            shop.change_account(name="After the deadlock")
            raise ConcurrentUpdate
        return current_caller(work).account.name

    with shop.sends_request():
        assert in_unit_of_work(do) == "After the deadlock"
    assert len(lookups) == 2


@on_mysql
def test_two_keys_in_one_unit_of_work_are_both_verified(shop, commands):
    """The request's own, and one in its body."""
    second = Shop(shop.processes)
    second.create()
    attempts = []

    def do(work):
        attempts.append(1)
        acting_merchant(work)
        caller_by_token(work, second.key)
        if len(attempts) == 1:
            second.revoke()

    with shop.sends_request(), pytest.raises(Unauthorized):
        in_unit_of_work(do)
    assert len(attempts) == 2
    assert guards_in(commands) == 2


@on_mysql
def test_a_use_is_noted_only_of_a_key_that_is_verified(shop):
    """The page of keys would show a use after the revocation."""
    with shop.processes.app().app_context():
        key_uses().write()
        uses = key_uses()
    shop.processes.clock.advance(minutes=5)
    for after_revocation, number in ((False, 1), (True, 0)):
        parts_of(shop.processes.app()).ledger.callers.forget()
        shop.create()
        with shop.processes.app().app_context():
            uses.write()
        shop.processes.clock.advance(minutes=5)
        if after_revocation:
            shop.revoke()
        shop.post()
        with shop.processes.app().app_context():
            assert uses.write() == number


# --- the guard itself --------------------------------------------------------------------------


@on_mysql
@pytest.mark.parametrize("mode", MODES)
def test_the_guard_is_refused_in_every_mode(shop, mode):
    """For another answer, and for a row that is missing."""
    engine = parts_of(shop.processes.app()).ledger.engine
    question = "SELECT sha2(json_array(name, city), 256) FROM accounts WHERE login = 'demo'"
    with shop.processes.tables.connected() as connection:
        answer = connection.execute(sa.text(question)).scalar_one()
    with engine.connect() as connection:
        driver: Any = quick_connection(connection.connection)
        connection.exec_driver_sql("SET SESSION sql_mode = %s", (mode,))
        for own_question, expected, passes in (
            (question, answer, True),
            (question, "ab" * 32, False),
            (question.replace("demo", "nobody"), answer, False),
        ):
            driver.guard_commit(answer_guard(own_question, expected))
            if passes:
                driver.commit()
                continue
            with pytest.raises(OperationalError, match="1020"):
                driver.commit()
            driver.rollback()
        connection.invalidate()


@on_mysql
def test_the_guard_reads_what_is_committed_now_and_locks_nothing(shop):
    """Also after the transaction has read the row; a writer of the row does not wait for it."""
    question = "SELECT sha2(json_array(name), 256) FROM accounts WHERE login = 'demo'"
    engine = parts_of(shop.processes.app()).ledger.engine
    with engine.connect() as connection, connection.begin():
        answer = connection.exec_driver_sql(question).scalar_one()
        driver: Any = quick_connection(connection.connection)
        driver.guard_commit(answer_guard(question, answer))
        driver.check_guards()
        with parts_of(shop.processes.app(1)).ledger.engine.begin() as other:
            other.execute(sa.text("SET innodb_lock_wait_timeout = 1"))
            other.execute(sa.update(Account).where(Account.login == "demo").values(name="New"))
            driver.check_guards()  # nobody has committed it
        with pytest.raises(OperationalError, match="1020"):
            driver.check_guards()
        connection.rollback()


# --- races --------------------------------------------------------------------------------------


@contextmanager
def before_each_commit(monkeypatch, do):
    """Call `do` before each command that commits with a guard."""
    commit = QuickConnection.commit

    def commit_later(self):
        if self._guards:
            do()
        commit(self)

    with monkeypatch.context() as patch:
        patch.setattr(QuickConnection, "commit", commit_later)
        yield


@on_mysql
@pytest.mark.parametrize("fields", [{}, {"order_id": "order-9"}, {"test": {}}])
def test_a_revocation_just_before_the_commit_is_obeyed(shop, monkeypatch, fields):
    """The look-up was reused, and everything but the COMMIT has been done."""
    windows = []

    def revoke():
        windows.append(1)
        at_once([shop.revoke])

    with before_each_commit(monkeypatch, revoke):
        assert shop.is_refused(**fields)
    assert windows == [1]


@on_mysql
def test_of_many_creators_none_stores_after_the_revocation(processes):
    """Each creation that is sent after the revocation was committed is refused everywhere."""
    for _ in range(3):
        race_against_revocation(processes)


def race_against_revocation(processes):
    """Creators at two processes, while a key is revoked by a connection of its own."""
    shop = Shop(processes)
    before = shop.count_payments()
    stop = threading.Event()
    revoked_at: list[float] = []
    outcomes: list[tuple[float, int]] = []

    def create(number):
        while not stop.is_set():
            sent_at = time.monotonic()
            outcomes.append((sent_at, shop.post(number=number % 2).status_code))

    def revoke():
        try:
            time.sleep(0.4)
            shop.revoke()
            revoked_at.append(time.monotonic())
            time.sleep(0.3)
        finally:
            stop.set()

    at_once([*(partial(create, number) for number in range(CREATORS)), revoke])
    statuses = [status for _, status in outcomes]
    assert set(statuses) == {201, 401}
    assert [sent for sent, status in outcomes if status == 201 and sent > revoked_at[0]] == []
    assert shop.count_payments() == before + statuses.count(201)


@on_mysql
def test_a_guard_that_refuses_is_a_conflict(shop):
    """So that the unit of work is repeated; the connection forgets it."""
    engine = parts_of(shop.processes.app()).ledger.engine
    with engine.connect() as connection:
        transaction = connection.begin()
        driver: Any = quick_connection(connection.connection)
        driver.guard_commit(answer_guard("SELECT NULL", "00"))
        with pytest.raises(sa.exc.OperationalError) as refused:
            transaction.commit()
        assert is_conflict(refused.value)
        transaction.rollback()
    with engine.begin() as connection:
        assert quick_connection(connection.connection) is driver
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
