"""The feed never skips an event that commits late, and two processes send none twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast

import sqlalchemy as sa

from config import current_settings, parts_of
from db_models import FeedEntry, PaymentEvent, WebhookDelivery
from payments import service
from repository.database import in_unit_of_work, reading
from repository.feed import Feed
from webhooks.numbering import number_events
from webhooks.sender import Reply, WebhookSender

at_once = True
"""All apps are ready before the threads race."""

WRITERS, READERS, EACH = 4, 8, 15
LATE_SECONDS = 0.03
LIMIT_SECONDS = 60


def test_no_reader_skips_an_event_that_commits_late(processes):
    """Four writers hold their transactions open for random times while eight readers follow."""
    merchant_id = processes.tables.merchant_id()
    total = WRITERS * EACH
    is_over = threading.Event()

    def write(number):
        app = processes.app(number)

        def create(work):
            merchant = work.accounts.find(merchant_id)
            assert merchant is not None
            service.insert_payment(
                work,
                merchant,
                amount_centavos=1000,
                lifetime=timedelta(minutes=30),
                location_base=current_settings().location_base,
                details={},
            )
            if not parts_of(app).ledger.is_sqlite:  # which has one writer at a time
                time.sleep(random.uniform(0, LATE_SECONDS))

        for _ in range(EACH):
            with app.app_context():
                in_unit_of_work(create)

    def number(place):
        while not is_over.is_set():
            with processes.app(place).app_context():
                number_events()
            time.sleep(0.002)

    def read(place):
        position = 0
        ids: list[str] = []
        limit = time.monotonic() + LIMIT_SECONDS
        while len(ids) < total and time.monotonic() < limit:
            with processes.app(place).app_context(), reading() as work:
                page = Feed(work).after(merchant_id, position, 7)
            for event in page.items:
                ids.append(event.public_id)
                position = event.position
            time.sleep(0.001)
        return ids

    with ThreadPoolExecutor(WRITERS + READERS + 2) as threads:
        readers = [threads.submit(read, n) for n in range(READERS)]
        numberers = [threads.submit(number, n) for n in range(2)]
        for writer in [threads.submit(write, n) for n in range(WRITERS)]:
            writer.result()
        sequences = [reader.result() for reader in readers]
        is_over.set()
        for numberer in numberers:
            numberer.result()

    entries = processes.tables.rows(sa.select(FeedEntry.public_id).order_by(FeedEntry.position))
    in_order = [row[0] for row in entries]
    assert len(in_order) == len(set(in_order)) == total
    assert all(sequence == in_order for sequence in sequences)
    positions = processes.tables.rows(sa.select(FeedEntry.position).order_by(FeedEntry.position))
    assert [row[0] for row in positions] == list(range(1, total + 1))
    unnumbered = sa.select(PaymentEvent.id).where(PaymentEvent.unnumbered.is_(True))
    assert processes.tables.rows(unnumbered) == []


class OneReceiver:
    """Takes the place of HTTP: records what each process sends, and fails now and then."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: list[tuple[str, bytes]] = []

    def post(self, _url, body, headers):
        """Record one request; every fifth one fails."""
        with self.lock:
            self.sent.append((headers["webhook-id"], body))
            status = 500 if len(self.sent) % 5 == 0 else 200
        time.sleep(random.uniform(0, 0.004))
        return Reply(status, None, None, {}, "", None, 1)


def test_two_processes_send_each_delivery_once_and_in_order(processes):
    """Both look at the same due rows; a claim is a conditional update."""
    receiver = OneReceiver()
    workers = [parts_of(processes.app(number)).webhooks.worker for number in range(2)]
    for worker in workers:
        worker.dispatcher._sender = cast("WebhookSender", receiver)
        worker.dispatcher.slots.clock = lambda: processes.clock.now().timestamp()
    answer = processes.post("/webhooks", json={"url": "http://127.0.0.1:9/"})
    assert answer.status_code == 201
    payments = [processes.create() for _ in range(12)]
    for payment in payments:
        assert processes.bank().confirm(payment).status_code == 200

    pending = sa.select(sa.func.count()).where(WebhookDelivery.status == "pending")
    limit = time.monotonic() + LIMIT_SECONDS
    with ThreadPoolExecutor(2) as threads:
        while processes.tables.rows(pending)[0][0] or not receiver.sent:
            begun = sum(threads.map(lambda worker: worker.run_once(), workers))
            while any(worker.dispatcher.slots.in_use for worker in workers):
                time.sleep(0.002)  # else the leases end by the test's clock
            processes.clock.advance(seconds=1 if begun else 60)
            assert time.monotonic() < limit

    attempts = Counter(message_id for message_id, _ in receiver.sent)
    failures = len(receiver.sent) // 5
    assert sum(attempts.values()) == len(attempts) + failures
    assert len(attempts) == 1 + 2 * len(payments)
    bodies = defaultdict(set)
    for message_id, body in receiver.sent:
        bodies[message_id].add(body)
    assert all(len(bodies_of_one) == 1 for bodies_of_one in bodies.values())
    for payment in payments:
        own = [body for _, body in receiver.sent if payment["id"].encode() in body]
        kinds = [b"payment.confirmed" in body for body in own]
        assert kinds == sorted(kinds)
        assert kinds.count(True) >= 1
