"""Money for static codes on every engine: one receipt and one event, whoever brings it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from config import parts_of
from core.clock import rfc3339
from core.runtime.throttle import Throttle
from db_models import PaymentEvent, Receipt
from payments.reconciliation import Reconciler
from providers import repeated_warnings
from providers.accounts import signing_banks
from providers.simulated import bank_client
from repository.database import ledger
from repository.events import RELAY_PATIENCE
from tests.db.conftest import Processes
from tests.db.crowd import at_once
from tests.db.tables import Tables
from tests.support.service import (
    DEMO_PASSWORD,
    PIX_KEY,
    close_app,
    end_to_end_id,
    ready_app,
    settings_for,
)
from tests.support.stub_bank import StubBank


def notice(processes, **changes):
    """The bank's notification of R$ 12,34 for a static code of Alice."""
    body = {
        "pix_key": PIX_KEY,
        "value": "12.34",
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(processes.clock.now()),
        "payer": {"name": "Bia Andrade", "document": "12345678909"},
    }
    return {**body, **changes}


def receipts(processes):
    """All receipts, in the order of their insertion."""
    return processes.tables.rows(sa.select(Receipt.__table__).order_by(Receipt.id))


def events(processes):
    """The names of all events of receipts, in order."""
    query = sa.select(PaymentEvent.name).where(PaymentEvent.receipt_id.is_not(None))
    return [name for (name,) in processes.tables.rows(query.order_by(PaymentEvent.id))]


def notify(processes, body, number=0):
    """Post a notification to one of the apps; return the answer's JSON."""
    return processes.bank(number).tell(body).get_json()


class Portal:
    """A portal page of Alice that is open at one app."""

    def __init__(self, app):
        form = {"username": "demo", "password": DEMO_PASSWORD}
        token = app.test_client().post("/token", data=form).get_json()["access_token"]
        self._socket = app.extensions["socketio"].test_client(app, auth={"token": token})
        assert self._socket.emit("watch_merchant", callback=True)["ok"] is True
        self._socket.get_received()

    def received(self):
        """The events since the last call: names and end_to_end_ids."""
        return [
            (packet["name"], packet["args"][0].get("end_to_end_id"))
            for packet in self._socket.get_received()
        ]


@pytest.fixture
def bank(clock, monkeypatch):
    """The bank behind BANK_URL, with no earlier request."""
    monkeypatch.setattr(repeated_warnings, "_warnings", Throttle(3600))
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())
    with StubBank(clock) as bank:
        yield bank


@pytest.fixture
def asking(any_database_url, tmp_path, clock, bank):
    """A process that reconciles with the bank, once for each engine."""
    app = ready_app(settings_for(any_database_url, tmp_path, bank_url=bank.url), clock)
    yield Processes([app], clock, Tables(any_database_url))
    close_app(app)


def reconcile(processes):
    """Run the reconciliation of a process that has just started; return how much it settled."""
    with processes.app().app_context():
        return Reconciler(signing_banks()[0], timedelta(seconds=15)).run()


def in_list(bank, body, **changes):
    """Put the transfer of a notification into the bank's list, as the bank lists static codes."""
    entry = {**body, "txid": None, "key": body["pix_key"], "status": "sent", **changes}
    bank.transfers.append({name: entry[name] for name in entry if name != "pix_key"})


def test_copies_at_once_to_several_processes_are_one_receipt(processes):
    """Banks send in parallel; the unique end_to_end_id decides, and the others are duplicates."""
    body = notice(processes)

    answers = at_once([partial(notify, processes, body, n) for n in range(6)])

    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 5
    assert [row.end_to_end_id for row in receipts(processes)] == [body["end_to_end_id"]]
    assert events(processes) == ["receipt.received"]


def test_a_lost_notice_is_found_in_the_list_of_the_bank(asking, bank):
    """The money is there; the merchant hears of it although no notification came."""
    body = notice(asking, reference="MESA7")
    in_list(bank, body)
    asking.clock.advance(seconds=1)

    settled = [reconcile(asking) for _ in range(3)]

    assert settled == [1, 0, 0]
    (receipt,) = receipts(asking)
    assert (receipt.verdict, receipt.amount_centavos) == ("accepted", 1234)
    assert (receipt.pix_key, receipt.reference) == (PIX_KEY, "MESA7")
    assert receipt.payer_name == "Bia Andrade"
    assert events(asking) == ["receipt.received"]


def test_the_notice_and_the_list_at_once_are_one_receipt(asking, bank):
    """The reconciliation reads the transfer while its notification arrives."""
    notices = [notice(asking) for _ in range(4)]
    for body in notices:
        in_list(bank, body)
    asking.clock.advance(seconds=1)

    posts = [partial(notify, asking, body) for body in notices]
    at_once([partial(reconcile, asking), *posts])

    ids = [row.end_to_end_id for row in receipts(asking)]
    assert sorted(ids) == sorted(body["end_to_end_id"] for body in notices)
    assert events(asking) == ["receipt.received"] * 4


@pytest.mark.parametrize(
    "changes",
    [{"key": "nobody@example.com"}, {"key": None}, {"key": 7}, {"status": "returned"}],
)
def test_what_is_not_ours_in_the_list_leaves_no_row(asking, bank, changes):
    """A bank may list money of others, and money that it has returned."""
    in_list(bank, notice(asking), **changes)
    asking.clock.advance(seconds=1)

    assert reconcile(asking) == 0
    assert receipts(asking) == []


def test_the_merchants_room_hears_of_the_money_and_nobody_else_does(processes):
    """The event names the transfer; who watches one payment learns nothing of other money."""
    app = processes.app(0)
    portal = Portal(app)
    payment = processes.create()
    shopper = app.extensions["socketio"].test_client(app)
    assert shopper.emit("watch", {"payment_id": payment["id"]}, callback=True)["ok"] is True
    body = notice(processes)

    notify(processes, body)

    assert portal.received() == [("receipt-received", body["end_to_end_id"])]
    assert shopper.get_received() == []


def test_another_process_announces_what_a_dead_one_received(processes):
    """A crash between commit and announcement delays the event and loses nothing."""
    dead, alive = processes.app(0), processes.app(1)
    with dead.app_context():
        ledger().commit_listeners.clear()
    portal = Portal(alive)
    body = notice(processes)
    notify(processes, body)
    processes.clock.advance(seconds=RELAY_PATIENCE.total_seconds())

    with alive.app_context():
        announced = parts_of(alive).announcer.relay()
        parts_of(alive).announcer.flush()

    assert announced == 1
    assert portal.received() == [("receipt-received", body["end_to_end_id"])]
    unannounced = "SELECT COUNT(*) FROM payment_events WHERE relay_at IS NOT NULL"
    assert processes.tables.rows(unannounced)[0][0] == 0
