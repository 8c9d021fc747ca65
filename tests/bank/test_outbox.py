"""The outbox: a notice reaches the service whoever fails meanwhile, and never twice at once."""

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
from bank.money.notices import NoticeVerdict, judge_answer
from bank.money.outbox import LEASE, retry_delay
from core.signing.signatures import verify
from tests.bank.conftest import settings_for

ROOT = Path(__file__).resolve().parents[2]


def only_notice(bank):
    """The one notice in the outbox."""
    with bank.branch.database.reading() as session:
        return session.scalars(select(Notice)).one()


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429, 301])
def test_a_service_in_trouble_is_told_again_until_it_answers(bank, service, status):
    """Only 2xx and 4xx end a notice: the money stays out meanwhile, and is told under one id."""
    service.answers = [status, 200]
    code, _ = service.charge(bank.clock.now())

    assert bank.pay(code).get_json()["status"] == "sent"
    bank.clock.advance(2)
    assert bank.branch.outbox.send_due() == 1

    assert only_notice(bank).verdict == "confirmed"
    first, second = service.notices
    assert first.message_id == second.message_id
    assert first.body == second.body


def test_every_attempt_is_signed_with_the_present_time(bank, service):
    """A signature older than five minutes is refused, and a notice may wait longer than that."""
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
    signed = verify([service.secret], headers, second.body, bank.clock.now())
    assert signed.message_id == second.message_id


def test_a_service_that_is_down_is_told_when_it_is_back(bank, service):
    """Nobody answers: the payment stands as sent, with the reason, and the money is not lost."""
    code, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(code, bank.clock.now())
    bank.branch.outbox._url = "http://127.0.0.1:9/payments/pix/confirmation"

    told = bank.pay(code).get_json()

    assert (told["status"], told["answer"]["code"]) == ("sent", "no-answer")
    bank.branch.outbox._url = f"{service.url}/payments/pix/confirmation"
    bank.clock.advance(2)
    bank.branch.outbox.send_due()
    assert only_notice(bank).verdict == "confirmed"


def test_a_service_that_is_too_slow_counts_as_no_answer(bank, service, monkeypatch):
    """It may have taken the notice all the same, so it is told again and not given up."""
    import urllib3

    bank.branch.http_client._pool.connection_pool_kw["timeout"] = urllib3.Timeout(0.2)
    service.hold_seconds = 0.6
    code, _ = service.charge(bank.clock.now())

    told = bank.pay(code).get_json()

    assert (told["status"], told["answer"]["code"]) == ("sent", "no-answer")
    assert bank.balance() == 482_350 - 5490


def test_a_late_4xx_gives_the_money_back_once(bank, service):
    """Also when the refusal only comes with a retry, and another worker settles it as well."""
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


def test_workers_that_meet_over_one_notice_send_it_once(any_bank, service):
    """The claim is a conditional update: of many workers and processes, one wins."""
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
        sent = list(workers.map(lambda outbox: outbox.send_due(), outboxes))
    close_bank_app(other)

    assert sum(sent) == 4
    assert len({notice.message_id for notice in service.notices}) == len(service.notices) == 4


def test_a_worker_that_dies_delays_its_notice_by_the_lease(bank, service, monkeypatch):
    """kill -9 between commit and post: the row is there, and comes free by itself."""
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


def test_a_bank_killed_while_it_tells_the_service_tells_it_again(bank, service):
    """kill -9 in the middle of the post: debited once, told again under the same id, confirmed."""
    service.hold_seconds = 2.0
    code, _ = service.charge(bank.clock.now())
    settings = bank.branch.settings
    process = subprocess.Popen(
        [sys.executable, "-c", _PAYS, settings.database_url, service.secret, service.url, code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    until = time.monotonic() + 20
    while not service.fetched["/payments/pix/confirmation"] and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait(10)
    service.hold_seconds = 0.0
    assert only_notice(bank).verdict is None

    bank.clock.advance(LEASE.total_seconds() + 1)
    assert bank.branch.outbox.send_due() == 1

    assert only_notice(bank).verdict == "confirmed"
    assert bank.balance() == 482_350 - 5490
    until = time.monotonic() + 5
    while len(service.notices) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len({notice.message_id for notice in service.notices}) == 1


def test_the_lease_is_longer_than_an_attempt():
    """Otherwise a second worker could begin while the first one still waits."""
    assert timedelta(seconds=ANSWER_TIMEOUT_SECONDS) < LEASE


def test_waits_double_up_to_a_minute_and_honour_retry_after():
    """Doubling spares a service in trouble; chance keeps payments from coming back all at once."""
    waits = [retry_delay(attempts, 0).total_seconds() for attempts in (1, 2, 3, 20, 10_000)]

    for wait, longest in zip(waits, (1, 2, 4, 60, 60), strict=True):
        assert longest / 2 <= wait <= longest
    assert retry_delay(1, 7).total_seconds() == 7
    assert retry_delay(1, 86_400).total_seconds() == 60


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"7", b'{"code": 7}', b'{"code": "A B"}', b"[" * 60_000]
)
def test_an_answer_of_any_form_is_judged_by_its_status(body):
    """The service's words are for people; its status decides."""
    told = judge_answer(HttpAnswer(409, {}, body))

    assert (told.verdict, told.code) == (NoticeVerdict.RETURNED, None)


def test_the_job_sends_what_is_due_and_stops(bank, service):
    """The scheduler's own thread, for real."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    start_jobs(bank.app)
    start_jobs(bank.app)
    until = time.monotonic() + 10
    while only_notice(bank).verdict is None and time.monotonic() < until:
        time.sleep(0.1)
    stop_jobs(bank.app)
    stop_jobs(bank.app)

    assert only_notice(bank).verdict == "confirmed"
    assert len(service.notices) == 2
    assert not [one for one in threading.enumerate() if one.name.startswith("APScheduler")]


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
    until = time.monotonic() + 15
    verdicts = []
    while "sent" in verdicts or not verdicts:
        rows = client.get("/api/statement", auth=("bia", "1234")).get_json()["data"]
        verdicts = [row["status"] for row in rows if row["kind"] == "payment"]
        assert time.monotonic() < until, verdicts
        time.sleep(0.1)
    close_bank_app(app)
    print([answer.status_code for answer in answers], verdicts)
"""


@pytest.mark.parametrize("library", ["eventlet", "gevent"])
def test_paying_and_the_job_work_under_a_patched_hub(library, fresh_database):
    """The service runs eventlet by default and gevent in compose; the bank shares its process."""
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
