"""Races over the nodes of a Galera cluster, where a row lock holds at one node only.

Two transactions at two nodes both "lock" a row, and the second one learns of the conflict at its
COMMIT. The races are those of every engine; each app uses another node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from core.errors import BalcaoError, NotRefundable, RefundExceedsPayment
from payments.refunds import request_refund
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work
from tests.db import test_feed, test_races
from tests.db.conftest import Processes
from tests.db.crowd import at_once
from tests.db.tables import Tables
from tests.support.clocks import FrozenClock
from tests.support.galera import NODES, GaleraCluster
from tests.support.service import close_app, ready_app, settings_for

pytestmark = [pytest.mark.slow, pytest.mark.mysql, pytest.mark.timeout(180)]

RACES = [
    partial(test_races.test_64_copies_of_one_confirmation_settle_once, round_=0),
    test_races.test_64_payers_of_one_payment_only_one_is_accepted,
    test_races.test_64_creations_for_one_order_make_one_payment,
    test_races.test_money_sent_in_time_wins_over_the_sweep_in_either_order,
    test_races.test_two_sweeps_at_once_over_500_due_payments_expire_each_once,
    test_races.test_confirm_against_cancel_ends_in_one_of_the_two,
    test_races.test_one_idempotency_key_at_once_makes_one_payment_and_equal_answers,
    test_races.test_a_late_notification_against_a_renewal_leaves_one_payment_to_be_paid,
    test_races.test_an_old_and_a_renewed_payment_paid_at_once_settle_the_order_once,
    test_races.test_one_end_to_end_id_for_two_payments_at_once_settles_one,
    test_races.test_copies_of_a_notification_for_an_unknown_payment_are_stored_once,
    test_feed.test_no_reader_skips_an_event_that_commits_late,
]


@pytest.fixture
def cluster(module_galera: GaleraCluster) -> Iterator[GaleraCluster]:
    """The nodes of this module with a new database; no test stops a node."""
    with module_galera.copy() as with_new_database:
        yield with_new_database


@pytest.fixture
def processes(cluster: GaleraCluster, tmp_path, clock: FrozenClock) -> Iterator[Processes]:
    """One app for each node, with one clock."""
    apps = []
    for place in range(NODES):
        settings = settings_for(cluster.url(place), tmp_path / str(place), bank_url="http://b:9")
        apps.append(ready_app(settings, clock))
    yield Processes(apps, clock, Tables(cluster.latest(0)))
    for app in apps:
        close_app(app)


def name_of(race):
    """The name of a race, for the list of tests."""
    return getattr(race, "func", race).__name__.removeprefix("test_")


@pytest.mark.parametrize("race", RACES, ids=name_of)
def test_over_three_nodes(processes, race):
    """One wins, nothing is doubled, and no conflict at a COMMIT becomes a 500."""
    race(processes)


def ask_refund(processes: Processes, txid: str, number: int) -> str:
    """Reserve R$ 4,00 of the payment at one of the nodes; return the outcome."""

    def reserve(work: Work) -> None:
        payment = work.payments.find_by_txid(txid)
        assert payment is not None
        merchant = work.accounts.find(payment.merchant_id)
        assert merchant is not None
        request_refund(work, payment, NewRefund.model_validate({"value": "4.00"}), merchant)

    with processes.app(number).app_context():
        try:
            in_unit_of_work(reserve)
        except BalcaoError as error:
            return error.code
    return "reserved"


def test_refunds_at_three_nodes_never_exceed_the_payment(processes):
    """Each part fits alone; together they are six times the payment."""
    for _ in range(6):
        payment = processes.create(value="8.00")
        assert processes.bank().confirm(payment).status_code == 200
        ask = partial(ask_refund, processes, payment["id"])
        outcomes = Counter(at_once([partial(ask, number) for number in range(12)]))
        assert outcomes.pop("reserved") == 2
        assert set(outcomes) <= {RefundExceedsPayment.code, NotRefundable.code}
        row = processes.tables.payment(payment["id"])
        assert (row.refunded_centavos, row.refunding_centavos) == (0, 800)


def test_a_payment_is_seen_at_every_node_as_soon_as_it_is_answered(processes):
    """A bank that gets 404 gives the money back."""
    for number in range(60):
        app, other = processes.app(number), processes.app(number + 1)
        answer = app.test_client().post("/payments/pix", json={"value": 10})
        payment = answer.get_json()["payment"]
        assert other.test_client().get(f"/payments/pix/{payment['id']}/status").status_code == 200
        assert processes.bank(number + 2).confirm(payment).status_code == 200
        status = other.test_client().get(f"/payments/pix/{payment['id']}/status").get_json()
        assert status["status"] == "confirmed"
        assert processes.tables.event_names(payment["id"]) == [
            "payment.created",
            "payment.confirmed",
        ]
