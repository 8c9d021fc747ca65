"""Orders to the payer's bank: stored with a change, sent by leases, ended once. On every engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from core.errors import ConcurrentUpdate
from db_models import OrderKind, PayerBankOrder
from payments.recurring import order_handlers, order_sender, orders
from payments.recurring.order_handlers import OrderHandler
from repository.database import in_unit_of_work, unit_of_work
from repository.payer_bank_orders import LEASE, PAUSE_MAX, PAUSE_MIN
from tests.accounts.people import Person
from tests.db.crowd import at_once
from tests.db.tables import Tables
from tests.support.payer_bank import payer_bank, send_orders
from tests.support.service import close_app, ready_app, settings_for

KIND, PATH = OrderKind.COLLECTION, "/api/collections"


@pytest.fixture
def bank(clock):
    """The payer's bank."""
    with payer_bank(clock) as bank:
        yield bank


@pytest.fixture
def apps(any_database_url, tmp_path, clock, bank):
    """Two processes on each engine."""
    settings = settings_for(any_database_url, tmp_path, bank_url=bank.url)
    every = [ready_app(settings, clock) for _ in range(2)]
    yield every
    for app in every:
        close_app(app)


@pytest.fixture
def calls(monkeypatch):
    """What the handler of a kind was called with; `calls.before` decides whether to send."""
    log = []

    def note(name):
        return lambda _work, order, *what: log.append((name, order.subject, *what))

    handler = OrderHandler(PATH, on_done=note("done"), on_refused=note("refused"))
    monkeypatch.setitem(order_handlers.HANDLERS, KIND, handler)
    return log


def add(app, *subjects, kind=KIND):
    """Store orders in one transaction each; the body names the place in the list."""
    with app.app_context():
        for number, subject in enumerate(subjects):
            with unit_of_work() as work:
                orders.add(work, 1, kind, subject, {"subject": subject, "number": number})


def add_and_fail(app):
    """Store an order in a transaction that is rolled back."""
    with app.app_context(), unit_of_work() as work:
        orders.add(work, 1, KIND, "rolled-back", {})
        raise ZeroDivisionError


def waiting(url):
    """Subject and attempts of the stored orders."""
    query = sa.select(PayerBankOrder.subject, PayerBankOrder.attempts).order_by(PayerBankOrder.id)
    return [tuple(row) for row in Tables(url).rows(query)]


def test_an_order_is_sent_until_the_bank_answers(apps, bank, calls, clock, any_database_url):
    """Orders of one subject go one after another; each ends once, with the handler's change."""
    app, other = apps
    with pytest.raises(ZeroDivisionError):
        add_and_fail(app)
    add(app, "a", "b", "a")
    bank.answer = lambda *_: (503, {})
    assert send_orders(app) == 0
    assert [members["number"] for _, members in bank.orders] == [0, 1]
    assert waiting(any_database_url) == [("a", 1), ("b", 1), ("a", 0)]
    assert send_orders(other) == 0, "neither retry is due yet"
    clock.advance(seconds=PAUSE_MAX.total_seconds())
    bank.orders.clear()
    bank.answer = lambda _path, members: (
        (201, {"collection": "x"})
        if members["subject"] == "a"
        else (409, {"code": "mandate-ended", "detail": "It has ended."})
    )
    assert send_orders(other) == 2
    assert waiting(any_database_url) == [("a", 0)]
    assert send_orders(other) == 1
    assert [path for path, _ in bank.orders] == [PATH] * 3
    assert calls == [
        ("done", "a", {"collection": "x"}),
        ("refused", "b", "mandate-ended", "It has ended."),
        ("done", "a", {"collection": "x"}),
    ]
    assert waiting(any_database_url) == []


@pytest.mark.slow
def test_a_process_that_dies_before_it_sends_loses_nothing(apps, bank, calls, clock):
    """The lease ends and another process sends; until then nobody does. Of two one sends."""
    app, other = apps
    add(app, "a")
    with app.app_context():
        row = in_unit_of_work(
            lambda work: work.payer_bank_orders.ids_due(work.now, 9, is_test=False)
        )[0]
        order, _ = in_unit_of_work(lambda work: order_sender._claim(work, row))
    assert order is not None
    assert (send_orders(other), bank.orders) == (0, [])
    clock.advance(seconds=LEASE.total_seconds())
    assert sum(at_once([lambda: send_orders(app), lambda: send_orders(other)])) == 1
    assert len(bank.orders) == 1
    # The dead process comes back and stores its answer: too late.
    with app.app_context():
        in_unit_of_work(lambda work: order_sender._end(work, order, {}))
    assert calls == [("done", "a", {})]


def test_an_order_is_dropped_refused_or_given_up(
    app, bank, calls, clock, settings, tmp_path, monkeypatch
):
    """By its handler before it is sent; by the bank; and by its age, after thirty days."""
    here = ready_app(settings_for(settings.database_url, tmp_path, bank_url=bank.url), clock)
    dropping = OrderHandler("/api/x", before=lambda _work, order: order.subject != "drop")
    monkeypatch.setitem(order_handlers.HANDLERS, OrderKind.MANDATE_CANCEL, dropping)
    add(here, "drop", "keep", kind=OrderKind.MANDATE_CANCEL)
    assert send_orders(here) == 2
    assert [members["subject"] for _, members in bank.orders] == ["keep"]
    add(here, "old")
    for status, answer in ((404, {"code": "not-found"}), (404, {}), (429, {"code": "busy"})):
        bank.answer = lambda *_, s=status, a=answer: (s, a)
        clock.advance(seconds=PAUSE_MAX.total_seconds())
        assert send_orders(here) == 0
    assert waiting(settings.database_url) == [("old", 3)]
    clock.advance(seconds=order_sender.SENT_FOR.total_seconds())
    assert send_orders(here) == 0
    assert waiting(settings.database_url) == []
    assert calls == [("refused", "old", "no-answer", "The bank has not answered.")]
    # The clock is set back: an order of the future is due when the longest lease has passed.
    add(here, "future")
    clock.advance(seconds=-timedelta(days=1).total_seconds())
    bank.refuse(422, "mandate-unknown")
    assert send_orders(here) == 1
    close_app(here)


@pytest.mark.parametrize(
    ("hook", "error"),
    [("before", ZeroDivisionError), ("on_done", ZeroDivisionError), ("on_done", ConcurrentUpdate)],
)
def test_a_handler_that_raises_delays_its_own_order_only(
    bank, clock, settings, tmp_path, monkeypatch, hook, error
):
    """By the pause of an order without an answer, and the others of the batch are sent."""
    here = ready_app(settings_for(settings.database_url, tmp_path, bank_url=bank.url), clock)

    def fail(_work, order, *_):
        if order.subject == "broken":
            raise error
        return True

    hooks: dict[str, Any] = {hook: fail}
    monkeypatch.setitem(order_handlers.HANDLERS, KIND, OrderHandler(PATH, **hooks))
    add(here, "broken", "good")
    assert send_orders(here) == 1
    for attempts in (1, 2):
        assert send_orders(here) == 0
        assert waiting(settings.database_url) == [("broken", attempts)]
        clock.advance(seconds=PAUSE_MIN.total_seconds())
        assert send_orders(here) == 0
    monkeypatch.setitem(order_handlers.HANDLERS, KIND, OrderHandler(PATH))
    clock.advance(seconds=PAUSE_MAX.total_seconds())
    assert send_orders(here) == 1
    assert waiting(settings.database_url) == []
    close_app(here)


def test_a_pause_leaves_the_lease_of_another_process_alone(bank, calls, clock, settings, tmp_path):
    """A process that wakes late must not let a third one send beside the second."""
    here = ready_app(settings_for(settings.database_url, tmp_path, bank_url=bank.url), clock)
    add(here, "a")
    with here.app_context():
        row = in_unit_of_work(
            lambda work: work.payer_bank_orders.ids_due(work.now, 9, is_test=False)
        )[0]
        late = in_unit_of_work(lambda work: order_sender._lease(work, row))
        clock.advance(seconds=LEASE.total_seconds())
        assert in_unit_of_work(lambda work: order_sender._lease(work, row)) is not None
        assert late is not None
        order_sender._pause(late)
        clock.advance(seconds=LEASE.total_seconds() - 1)
        assert (
            in_unit_of_work(lambda work: work.payer_bank_orders.ids_due(work.now, 9, is_test=False))
            == []
        )
    assert calls == []
    close_app(here)


def test_nothing_is_stored_without_a_bank(settings, tmp_path, clock):
    """In production without BANK_URL nobody would ever send it."""
    url = settings.database_url
    changes = {"app_env": "production", "public_url": "https://pix.example.com", "sign_up": "open"}
    here = ready_app(settings_for(url, tmp_path, **changes, demo_pix_key=""), clock)
    Person(here, "alice").sign_up()
    add(here, "a")
    assert waiting(url) == []
    close_app(here)
