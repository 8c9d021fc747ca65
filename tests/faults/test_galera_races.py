"""Races over the nodes of a Galera cluster, where a row lock holds at one node only.

Two transactions at two nodes both "lock" a row, and the second one learns of the conflict at its
COMMIT. The races are those of every engine; each app uses another node.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from inspect import getmodule, signature
from typing import Any

import pytest
import sqlalchemy as sa

from accounts import halves, service
from blueprints.pix_api.cobr_bodies import CobRBody
from core.errors import BalcaoError, NotRefundable, RefundExceedsPayment
from core.receipt_errors import TooManyTills
from core.webhook_errors import TooManyEndpoints
from db_models import (
    FeedEntry,
    PaymentEvent,
    Recurrence,
    RecurrenceStatus,
    RecurringCharge,
    Refund,
    Till,
    WebhookEndpoint,
)
from db_models.base import db
from payments import refunds, tills
from payments.recurring import charges, recurrences
from payments.refunds import request_refund
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work, reading
from repository.feed import Feed
from repository.mysql_connections import quick_connection
from tests.accounts.people import Person
from tests.db import (
    test_batch_races,
    test_charge_races,
    test_feed,
    test_races,
    test_recurrence_races,
    test_recurring_charges,
    test_request_races,
)
from tests.db.conftest import Processes
from tests.db.crowd import at_once
from tests.db.tables import Tables
from tests.pix_api.batches import BatchCalls
from tests.pix_api.charges import DemoCalls
from tests.pix_api.clients import demo_client
from tests.pix_api.recurring_charges import RETRIES, approved, cobr_body, day_after
from tests.support.api_pix import PixApi
from tests.support.clocks import FrozenClock
from tests.support.galera import NODES, GaleraCluster
from tests.support.service import SECRET_KEY, close_app, ready_app, settings_for
from webhooks import endpoints
from webhooks.numbering import number_events
from webhooks.schemas import NewEndpoint
from webhooks.secrets import SecretBox

SKEW_ROUNDS = 8
SALES = 12
"""Of each node, in the race about the order of events."""

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

API_RACES = [
    test_charge_races.test_32_puts_of_one_txid_make_one_charge,
    test_charge_races.test_32_revisions_have_32_numbers,
    test_charge_races.test_a_revision_and_a_payment_agree_about_the_amount,
    test_charge_races.test_one_location_shows_one_of_32_charges,
    test_charge_races.test_a_renewal_and_a_later_deadline_leave_one_code,
    test_recurrence_races.test_a_cancellation_and_an_acceptance_agree_about_what_came_first,
    test_recurrence_races.test_an_acceptance_and_an_expiry_agree_about_what_came_first,
    test_recurrence_races.test_one_of_many_answers_of_the_payer_counts,
    test_recurrence_races.test_one_location_shows_one_of_many_recurrences,
    test_recurrence_races.test_one_of_two_payers_gets_a_recurrence_and_the_other_hears_why,
    test_request_races.test_a_cancellation_and_an_acceptance_agree,
    test_request_races.test_an_expiry_and_an_acceptance_agree,
    test_request_races.test_one_of_many_requests_is_open_and_none_outlives_its_recurrence,
    test_recurring_charges.test_of_a_cancellation_and_the_money_one_wins,
    test_recurring_charges.test_a_cycle_gets_one_charge_and_a_charge_one_open_attempt,
    test_batch_races.test_four_workers_make_one_charge_of_each_item,
    test_batch_races.test_the_newest_request_counts_while_workers_work,
    test_batch_races.test_one_batch_gets_a_txid_that_four_want,
    test_batch_races.test_one_of_four_creates_the_batch_and_the_others_revise_it,
]
"""Races of API Pix; their arguments have the meaning of the fixtures of their modules."""


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


def test_no_node_gets_a_command_of_several_statements(processes):
    """A conflict undid the first of them without an error, and the others were committed alone."""
    for place in range(NODES):
        with processes.app(place).app_context(), db.engine.connect() as connection:
            driver = quick_connection(connection.connection)
            assert driver is not None
            assert not driver.may_defer
            assert not driver.may_defer_changes


def batch_calls(app: Any) -> BatchCalls:
    """The demo merchant's batches at one node."""
    api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
    return BatchCalls(app, api, app.config["BALCAO"].demo_pix_key)


@pytest.mark.parametrize("race", API_RACES, ids=name_of)
def test_of_api_pix_over_three_nodes(processes, race):
    """The same for charges, recurrences and batches, whose rules read several rows."""
    names = signature(race).parameters
    arguments: dict[str, Any] = {"processes": processes}
    if "crowd" in names:
        arguments["crowd"] = [batch_calls(processes.app(number)) for number in range(4)]
    else:
        every = [DemoCalls(processes.app(number)) for number in range(NODES)]
        crowd = getattr(getmodule(race), "CROWD", 4)
        arguments["calls"] = [every[number % NODES] for number in range(crowd)]
    if "rec" in names:
        arguments["rec"] = approved(
            processes.app(), arguments["calls"][0], processes.clock, politicaRetentativa=RETRIES
        )
    race(**{name: arguments[name] for name in names})


MEET_SECONDS = 20


def before_any_commit(processes: Processes, *bodies: Callable[[Work], Any]) -> list[Any]:
    """Run each body at another node; no transaction commits before all have run.

    At one node a row lock would let one body wait for the other. Each result is what the body
    returned in the attempt that was committed, or the class of the service's error.
    """
    meeting = threading.Barrier(len(bodies))

    def run(place: int) -> Any:
        attempts = itertools.count()

        def do(work: Work) -> Any:
            result = bodies[place](work)
            if next(attempts) == 0:
                meeting.wait(MEET_SECONDS)
            return result

        with processes.app(place).app_context():
            try:
                return in_unit_of_work(do)
            except BalcaoError as error:
                return type(error)

    return at_once([partial(run, place) for place in range(len(bodies))])


def test_a_charge_does_not_outlive_its_recurrence(processes):
    """At one node a lock makes the end wait for a new charge, and cancel it.

    Between nodes the lock is nothing, and a foreign key to the row does not conflict either: both
    transactions must change the recurrence's row. Without that about half of the rounds left a
    charge that the payer's bank would have been ordered to collect.
    """
    call = DemoCalls(processes.app())
    for _ in range(SKEW_ROUNDS):
        id_rec = approved(processes.app(), call, processes.clock)["idRec"]
        is_charged, _ = before_any_commit(
            processes, partial(charge_once, processes, id_rec), partial(end_recurrence, id_rec)
        )
        assert call("GET", f"/rec/{id_rec}").get_json()["status"] == "CANCELADA"
        query = sa.select(RecurringCharge.status).join(
            Recurrence, Recurrence.id == RecurringCharge.recurrence_id
        )
        statuses = processes.tables.rows(query.where(Recurrence.id_rec == id_rec))
        assert [row.status for row in statuses] == ["cancelled"] * is_charged


def charge_once(processes: Processes, id_rec: str, work: Work) -> bool:
    """Create a charge if the recurrence is approved; whether it was."""
    merchant = work.accounts.by_login("demo")
    target = work.recurring_charges.target(merchant.id, id_rec, None)
    assert target is not None
    is_live = target.recurrence.status == RecurrenceStatus.APPROVED
    if is_live:
        body = cobr_body({"idRec": id_rec}, day_after(processes.clock, 4))
        new_charge = CobRBody.model_validate(body).charge()
        charges.create(work, merchant, target.recurrence, new_charge, None)
    return is_live


def end_recurrence(id_rec: str, work: Work) -> None:
    """The merchant cancels the recurrence."""
    record = work.recurrences.find(work.accounts.by_login("demo").id, id_rec)
    assert record is not None
    recurrences.cancel(work, record)


@pytest.fixture
def in_production(cluster: GaleraCluster, tmp_path, clock: FrozenClock) -> Iterator[Processes]:
    """One app for each node, where merchants have test halves."""
    changes = {"app_env": "production", "sign_up": "open", "public_url": "https://shop.example"}
    apps = [
        ready_app(settings_for(cluster.url(place), tmp_path / str(place), **changes), clock)
        for place in range(NODES)
    ]
    yield Processes(apps, clock, Tables(cluster.latest(0)))
    for app in apps:
        close_app(app)


def test_a_test_half_is_disabled_with_its_merchant_at_another_node(in_production):
    """The half's keys worked on, for a merchant that was shut out.

    Neither the lock of the merchant's row nor the half's foreign key to it holds at another node.
    """
    for number in range(SKEW_ROUNDS):
        login = f"alice-{number}"
        Person(in_production.app(), login).sign_up()

        def make(work: Work, login: str = login) -> None:
            halves.ensure_test_half(work, work.accounts.by_login(login))

        def disable(work: Work, login: str = login) -> bool:
            return service.disable(work, work.accounts.by_login(login))

        assert before_any_commit(in_production, make, disable) == [None, True]
        with in_production.app().app_context(), reading() as work:
            merchant = work.accounts.by_login(login)
            half = work.accounts.find_test_half(merchant.id)
        assert half is not None
        assert merchant.disabled_at is not None
        assert half.disabled_at == merchant.disabled_at
        assert (merchant.grace_seconds, half.grace_seconds) == (0, 0)


def test_a_bound_that_counts_is_passed_by_one_for_each_node_at_most(processes):
    """Such as that of webhooks, whose lock holds at one node: then every node refuses."""
    merchant_id = processes.tables.merchant_id()

    def add(work: Work) -> str:
        merchant, box = work.accounts.find(merchant_id), SecretBox(SECRET_KEY)
        assert merchant is not None
        url = "https://shop.example/hook"
        new_endpoint = NewEndpoint.model_validate({"url": url})
        return endpoints.create(work, merchant, new_endpoint, url, box)[0].public_id

    for _ in range(endpoints.ENDPOINTS_MAX - 1):
        with processes.app().app_context():
            in_unit_of_work(add)
    added = before_any_commit(processes, add, add, add)
    assert added.count(TooManyEndpoints) < NODES
    stored = sa.select(sa.func.count()).select_from(WebhookEndpoint)
    count = processes.tables.rows(stored)[0][0]
    assert count == endpoints.ENDPOINTS_MAX - 1 + NODES - added.count(TooManyEndpoints)
    for place in range(NODES):
        with processes.app(place).app_context(), pytest.raises(TooManyEndpoints):
            in_unit_of_work(add)


def test_tills_have_numbers_so_their_bound_holds(processes, monkeypatch):
    """The number of a till is unique for its merchant: of the last one only one is opened."""
    monkeypatch.setattr(tills, "TILLS_MAX", 2)
    merchant_id = processes.tables.merchant_id()

    def add(work: Work) -> str:
        merchant = work.accounts.find(merchant_id)
        assert merchant is not None
        return tills.open_till(work, merchant, "Balcão").txid

    with processes.app().app_context():
        in_unit_of_work(add)
    added = before_any_commit(processes, add, add, add)
    assert added.count(TooManyTills) == NODES - 1
    assert [row.number for row in processes.tables.rows(sa.select(Till.number))] == [1, 2]


def test_refunds_at_three_nodes_pass_neither_the_money_nor_their_number(processes, monkeypatch):
    """Each refund changes its payment's row, so no two nodes commit on the same count."""
    monkeypatch.setattr(refunds, "REFUNDS_MAX", 2)
    payment = processes.create(value="8.00")
    assert processes.bank().confirm(payment).status_code == 200

    def refund(value: str, refund_id: str | None, work: Work) -> str:
        row = work.payments.find_by_txid(payment["id"])
        assert row is not None
        merchant = work.accounts.find(row.merchant_id)
        assert merchant is not None
        new_refund = NewRefund.model_validate({"value": value, "refund_id": refund_id})
        return request_refund(work, row, new_refund, merchant)[0].refund_id

    same = partial(refund, "1.00", "theSameId")
    assert before_any_commit(processes, same, same, same) == ["theSameId"] * NODES
    outcomes = before_any_commit(processes, *[partial(refund, "2.00", None)] * NODES)
    assert outcomes.count(NotRefundable) == NODES - 1
    stored = processes.tables.rows(sa.select(Refund.amount_centavos).order_by(Refund.id))
    assert sorted(row.amount_centavos for row in stored) == [100, 200]
    assert processes.tables.payment(payment["id"]).refunding_centavos == 300


def test_numbering_at_three_nodes_gives_each_event_one_number(processes):
    """All read the same events and the same last position; the counter's row decides."""
    for _ in range(3):
        processes.create()
    with processes.app().app_context(), reading() as work:
        events, last_position = Feed(work).unnumbered(10)
    assert (len(events), last_position) == (3, 0)

    def number(work: Work) -> bool:
        return Feed(work).number(events, last_position)

    assert Counter(before_any_commit(processes, number, number, number)) == {True: 1, False: 2}
    rows = processes.tables.rows(
        sa.select(FeedEntry.position, FeedEntry.event_id).order_by(FeedEntry.position)
    )
    assert [tuple(row) for row in rows] == [
        (position, event.event_id) for position, event in enumerate(events, start=1)
    ]


def test_the_feed_keeps_the_order_of_a_payment_across_nodes(processes):
    """Each payment is created at one node and confirmed at another, and all nodes number."""
    is_over = threading.Event()

    def number(place: int) -> None:
        while not is_over.is_set():
            with processes.app(place).app_context():
                number_events()
            time.sleep(0.002)

    def sell(place: int) -> None:
        for _ in range(SALES):
            answer = processes.post("/payments/pix", place, json={"value": 10})
            payment = answer.get_json()["payment"]
            assert processes.bank(place + 1).confirm(payment).status_code == 200

    numberers = [threading.Thread(target=number, args=(place,)) for place in range(NODES)]
    for thread in numberers:
        thread.start()
    try:
        at_once([partial(sell, place) for place in range(NODES)])
    finally:
        is_over.set()
        for thread in numberers:
            thread.join(30)
    with processes.app().app_context():
        number_events()
    query = sa.select(FeedEntry.position, PaymentEvent.payment_id, FeedEntry.type).join(
        PaymentEvent, PaymentEvent.id == FeedEntry.event_id
    )
    rows = processes.tables.rows(query.order_by(FeedEntry.position))
    assert [row.position for row in rows] == list(range(1, 2 * NODES * SALES + 1))
    by_payment: dict[int, list[str]] = {}
    for row in rows:
        by_payment.setdefault(row.payment_id, []).append(row.type)
    assert len(by_payment) == NODES * SALES
    created_first = ["payment.created", "payment.confirmed"]
    assert all(types == created_first for types in by_payment.values())
    unnumbered = sa.select(PaymentEvent.id).where(PaymentEvent.unnumbered.is_(True))
    assert processes.tables.rows(unnumbered) == []


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
