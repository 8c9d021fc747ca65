"""The outbox: each notice reaches the service despite failures, and never twice at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bank.app import close_bank_app, create_bank_app, start_jobs, stop_jobs
from bank.branch import EXTENSION
from bank.codes.http import ANSWER_TIMEOUT_SECONDS, HttpAnswer
from bank.models import Notice
from bank.money.notice_queue import LEASE, retry_delay
from bank.money.notices import NoticeVerdict, judge_answer
from core.signing.signatures import verify
from tests.bank.conftest import settings_for

ROOT = Path(__file__).resolve().parents[2]


def only_notice(bank):
    """The only notice in the outbox."""
    with bank.branch.database.reading() as session:
        return session.scalars(select(Notice)).one()


@pytest.mark.parametrize("status", [500, 502, 503, 401, 408, 425, 429, 301])
def test_a_notice_is_retried_until_the_service_answers(bank, service, status):
    """2xx and most 4xx end a notice; until then money and id stay as they are."""
    service.answers = [status, 200]
    code, _ = service.charge(bank.clock.now())

    assert bank.pay(code).get_json()["status"] == "sent"
    bank.clock.advance(2)
    assert bank.branch.outbox.send_due() == 1

    assert only_notice(bank).verdict == "confirmed"
    first, second = service.notices
    assert first.message_id == second.message_id
    assert first.body == second.body


def test_each_attempt_is_signed_with_the_current_time(bank, service):
    """The service refuses a signature older than five minutes, and a notice may wait longer."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)
    bank.clock.advance(200)

    bank.branch.outbox.send_due()

    first, second = service.notices
    assert 199 <= int(second.timestamp) - int(first.timestamp) <= 203
    headers = {
        "webhook-id": second.message_id,
        "webhook-timestamp": second.timestamp,
        "webhook-signature": second.signature,
    }
    signed_at = verify([service.secret], headers, second.body, bank.clock.now())
    assert signed_at.message_id == second.message_id


def test_a_service_that_is_down_gets_the_notice_when_it_is_back(bank, service):
    """Meanwhile the payment is `sent`, with the reason, and no money is lost."""
    code, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(code, bank.clock.now())
    bank.branch.outbox._url = "http://127.0.0.1:9/payments/pix/confirmation"

    payment = bank.pay(code).get_json()

    assert (payment["status"], payment["answer"]["code"]) == ("sent", "no-answer")
    bank.branch.outbox._url = f"{service.url}/payments/pix/confirmation"
    bank.clock.advance(2)
    bank.branch.outbox.send_due()
    assert only_notice(bank).verdict == "confirmed"


def test_a_service_that_is_too_slow_counts_as_no_answer(bank, service, monkeypatch):
    """The service may have processed the notice, so it is sent again."""
    import urllib3

    bank.branch.http_client._pool.connection_pool_kw["timeout"] = urllib3.Timeout(0.2)
    service.hold_seconds = 0.6
    code, _ = service.charge(bank.clock.now())

    payment = bank.pay(code).get_json()

    assert (payment["status"], payment["answer"]["code"]) == ("sent", "no-answer")
    assert bank.balance() == 482_350 - 5490


def test_a_late_4xx_returns_the_money_once(bank, service):
    """The refusal comes with a retry, and another worker settles the notice at the same time."""
    service.answers = [503, (409, "payment-cancelled")]
    code, txid = service.charge(bank.clock.now())
    bank.pay(code)
    bank.clock.advance(2)

    bank.branch.outbox.send_due()
    bank.clock.advance(3600)
    bank.branch.outbox.send_due()

    assert bank.balance() == 482_350
    assert len(service.notices) == 2
    assert [row["status"] for row in bank.lookup(txid)] == ["returned"]


@pytest.fixture
def retry_time(bank):
    """A retry time of 60 s: the double of the service keeps the real time, and signatures age."""
    bank.branch.outbox._retry_time = timedelta(seconds=60)


def send_after(bank, seconds):
    """Let this time pass since the last attempt, and send what is due."""
    bank.clock.advance(seconds)
    return bank.branch.outbox.send_due()


@pytest.mark.parametrize("status", [401, 408, 425, 429])
def test_money_of_a_notice_that_nobody_looked_at_goes_back_after_the_retry_time(
    bank, service, retry_time, status
):
    """A shop with a wrong secret repairs it within a day, or its payers get their money back."""
    service.answers = [status]
    code, txid = service.charge(bank.clock.now())
    bank.pay(code)
    assert send_after(bank, 40) == 1
    assert bank.balance() == 482_350 - 5490
    assert send_after(bank, 21) == 1
    assert bank.balance() == 482_350
    assert send_after(bank, 120) == 0
    assert [row["status"] for row in bank.lookup(txid)] == ["returned"]


def test_money_that_a_look_up_has_shown_stays(bank, service, retry_time):
    """The service has settled the payment with it, although it refused each notice."""
    service.answers = [401]
    code, txid = service.charge(bank.clock.now())
    bank.pay(code)
    assert [row["status"] for row in bank.lookup(txid)] == ["sent"]
    assert send_after(bank, 70) == 1
    assert bank.balance() == 482_350 - 5490
    service.answers = [200]
    assert send_after(bank, 61) == 1
    assert only_notice(bank).verdict == "confirmed"


@pytest.mark.parametrize("status", [500, 503])
def test_money_stays_while_nobody_knows_whether_it_was_settled(bank, service, retry_time, status):
    """The service may have confirmed the payment and failed afterwards."""
    service.answers = [status]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)
    assert send_after(bank, 70) == 1
    assert bank.balance() == 482_350 - 5490


def test_a_pause_set_before_the_clock_was_set_back_is_over(bank, service):
    """Otherwise the shop would wait three minutes longer for its confirmation."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)
    bank.clock.advance(-200)

    assert [bank.branch.outbox.send_due(), bank.branch.outbox.send_due()] == [1, 0]
    assert only_notice(bank).verdict == "confirmed"


@pytest.mark.parametrize(
    ("scenario", "attempts", "longest"),
    [("normal", 1, 60), ("late", 0, 300), ("told-after-deadline", 1, 60)],
)
def test_only_a_pause_that_nobody_can_set_is_over(bank, service, scenario, attempts, longest):
    """A bank whose clock is a minute slow respects the pauses of one that is right."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)
    for seconds, sent in ((longest + 60, 0), (longest + 61, 1)):
        with bank.branch.database.writing() as session:
            notice = session.scalars(select(Notice)).one()
            notice.scenario, notice.attempts = scenario, attempts
            notice.next_attempt_at = bank.clock.now() + timedelta(seconds=seconds)
        assert bank.branch.outbox.send_due() == sent


@pytest.mark.parametrize("scenario", ["told-after-deadline", "paid-after-deadline", "lost"])
def test_a_notice_that_waits_for_a_deadline_is_not_sent_early(bank, service, scenario):
    """Deadlines are chosen by shops, so no time is too far ahead."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code, scenario=scenario)
    with bank.branch.database.writing() as session:
        notice = session.scalars(select(Notice)).one()
        notice.next_attempt_at = bank.clock.now() + timedelta(days=1)

    assert bank.branch.outbox.send_due() == 0


def test_workers_at_once_send_a_notice_once(any_bank, service):
    """The claim is a conditional update: one worker of all processes gets it."""
    service.answers = [503, 200]
    service.hold_seconds = 0.05
    codes = [service.charge(any_bank.clock.now())[0] for _ in range(4)]
    for code in codes:
        service.answers = [503]
        any_bank.pay(code)
    service.answers, service.notices = [200], []
    any_bank.clock.advance(2)
    other = create_bank_app(
        settings_for(any_bank.branch.settings.database_url, service), any_bank.clock
    )
    outboxes = [any_bank.branch.outbox, other.extensions[EXTENSION].outbox] * 3

    with ThreadPoolExecutor(6) as workers:
        sent_counts = list(workers.map(lambda outbox: outbox.send_due(), outboxes))
    close_bank_app(other)

    assert sum(sent_counts) == 4
    assert len({notice.message_id for notice in service.notices}) == len(service.notices) == 4


def test_a_worker_that_dies_delays_its_notice_by_the_lease(bank, service, monkeypatch):
    """After a kill -9 between commit and post, the notice is due again when the lease ends."""
    monkeypatch.setattr(bank.branch.outbox, "send", lambda _notice: None)
    code, _ = service.charge(bank.clock.now())
    assert bank.pay(code).get_json()["status"] == "sent"
    monkeypatch.undo()

    bank.clock.advance(LEASE.total_seconds() - 5)
    assert bank.branch.outbox.send_due() == 0
    bank.clock.advance(6)
    assert bank.branch.outbox.send_due() == 1
    assert only_notice(bank).verdict == "confirmed"


_PAYS = """
import sys
from bank.app import create_bank_app
from tests.bank.conftest import settings_for
from tests.bank.service_double import ServiceDouble

database, secret, url, code = sys.argv[1:]
service = ServiceDouble(secret)
service.url = url
app = create_bank_app(settings_for(database, service))
app.test_client().post("/api/pay", json={"code": code, "pin": "1234"})
"""


def test_a_bank_killed_while_it_sends_a_notice_sends_it_again(bank, service):
    """After a kill -9 during the post: one debit, a second attempt with the same id, confirmed."""
    service.hold_seconds = 2.0
    code, _ = service.charge(bank.clock.now())
    settings = bank.branch.settings
    process = subprocess.Popen(
        [sys.executable, "-c", _PAYS, settings.database_url, service.secret, service.url, code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 20
    while not service.request_counts["/payments/pix/confirmation"] and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait(10)
    service.hold_seconds = 0.0
    assert only_notice(bank).verdict is None

    bank.clock.advance(LEASE.total_seconds() + 1)
    assert bank.branch.outbox.send_due() == 1

    assert only_notice(bank).verdict == "confirmed"
    assert bank.balance() == 482_350 - 5490
    deadline = time.monotonic() + 5
    while len(service.notices) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len({notice.message_id for notice in service.notices}) == 1


def test_the_lease_is_longer_than_an_attempt():
    """Otherwise a second worker could claim the notice during the first attempt."""
    assert timedelta(seconds=ANSWER_TIMEOUT_SECONDS) < LEASE


def test_delays_double_up_to_a_minute_and_honour_retry_after():
    """Backoff spares a service in trouble, and jitter keeps retries from coming all at once."""
    waits = [retry_delay(attempts, 0).total_seconds() for attempts in (1, 2, 3, 20, 10_000)]

    for wait, longest in zip(waits, (1, 2, 4, 60, 60), strict=True):
        assert longest / 2 <= wait <= longest
    assert retry_delay(1, 7).total_seconds() == 7
    assert retry_delay(1, 86_400).total_seconds() == 60


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"7", b'{"code": 7}', b'{"code": "A B"}', b"[" * 60_000]
)
def test_an_answer_of_any_form_is_judged_by_its_status(body):
    """The body may be anything; the status decides."""
    answer = judge_answer(HttpAnswer(409, {}, body))

    assert (answer.verdict, answer.code) == (NoticeVerdict.RETURNED, None)


def test_the_job_sends_due_notices_and_stops(bank, service):
    """On the scheduler's own thread."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    start_jobs(bank.app)
    start_jobs(bank.app)
    deadline = time.monotonic() + 10
    while only_notice(bank).verdict is None and time.monotonic() < deadline:
        time.sleep(0.1)
    stop_jobs(bank.app)
    stop_jobs(bank.app)

    assert only_notice(bank).verdict == "confirmed"
    assert len(service.notices) == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("APScheduler")]


_GREEN = """
import sys
if sys.argv[1] == "eventlet":
    import eventlet
    eventlet.monkey_patch()
else:
    from gevent import monkey
    monkey.patch_all()
import time
from bank.app import close_bank_app, create_bank_app, start_jobs
from bank.branch import EXTENSION
from bank.money.demo import migrate
from core.signing.signatures import new_secret
from tests.bank.conftest import settings_for
from tests.bank.service_double import ServiceDouble

with ServiceDouble(new_secret(), answers=[503, 200]) as service:
    migrate(sys.argv[2])
    app = create_bank_app(settings_for(sys.argv[2], service))
    clock = app.extensions[EXTENSION].clock
    client = app.test_client()
    start_jobs(app)
    codes = [service.charge(clock.now())[0] for _ in range(3)]
    answers = [
        client.post("/api/pay", json={"code": code, "pin": "1234", "scenario": scenario})
        for code, scenario in zip(codes, ("normal", "double", "normal"))
    ]
    deadline = time.monotonic() + 15
    verdicts = []
    while "sent" in verdicts or not verdicts:
        rows = client.get("/api/statement", auth=("bia", "1234")).get_json()["data"]
        verdicts = [row["status"] for row in rows if row["kind"] == "payment"]
        assert time.monotonic() < deadline, verdicts
        time.sleep(0.1)
    close_bank_app(app)
    print([answer.status_code for answer in answers], verdicts)
"""


@pytest.mark.parametrize("library", ["eventlet", "gevent"])
def test_paying_and_the_job_work_under_a_patched_hub(library, fresh_database):
    """The bank runs in the service's process, under eventlet or gevent."""
    run = subprocess.run(
        [sys.executable, "-c", _GREEN, library, fresh_database("sqlite")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.splitlines()[-1] == f"{[200] * 3} {['confirmed'] * 3}"
