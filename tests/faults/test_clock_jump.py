"""The machine's clock is set forward or back while payments are pending."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.faults.storm import wait_until
from tests.support.deadlines import bring_forward
from tests.support.parts import MissingPart, leave_out
from tests.support.service import DEMO_PASSWORD

pytestmark = pytest.mark.slow

PATTERN = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def _library() -> str:
    libraries = sorted(Path("/").glob(PATTERN.removeprefix("/")))
    if not libraries:
        leave_out(MissingPart("libfaketime (Debian: faketime)"))
    return str(libraries[0])


@pytest.fixture
def at_offset(serve, tmp_path):
    """Start a service; its wall clock follows the file that is returned with it."""
    offset = tmp_path / "faketime"
    offset.write_text("+0\n")
    service = serve(
        LD_PRELOAD=_library(),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        RECONCILE_INTERVAL_SECONDS="300",
    )
    return service, offset


def test_money_paid_before_the_jump_is_confirmed_after_it(at_offset):
    """The jump expires every pending payment; the one paid in time is confirmed later."""
    service, offset = at_offset
    paid, unpaid = service.create(expires_in=600), service.create(expires_in=600)
    end_to_end_id = _pay_late(service, paid)

    offset.write_text("+3600\n")
    _wait_for(service, unpaid, "expired")
    _wait_for(service, paid, "confirmed")

    final = service.payment(paid["id"])
    assert final["end_to_end_id"] == end_to_end_id
    assert service.payment(unpaid["id"])["status"] == "expired"
    assert service.get("/readyz")[0] == 200


def test_jobs_go_on_when_the_clock_is_set_back_by_ten_minutes(at_offset):
    """Without that, no expiry and no missed event would be announced for ten minutes."""
    service, offset = at_offset
    names = ("sweep", "flush", "relay", "refunds")
    wait_until(lambda: min(_runs(service, name) for name in names) >= 1, 10, "the first runs")

    offset.write_text("-600\n")
    before = {name: _runs(service, name) for name in names}
    jumped_at = time.monotonic()
    payment = service.create()
    bring_forward(service, -600 + 1, payment)
    wait_until(
        lambda: all(_runs(service, name) >= before[name] + 2 for name in names), 10, "more runs"
    )
    wait_until(lambda: _expiries(service) == 1, 5, "the expiry to be announced")

    assert time.monotonic() - jumped_at < 5
    jumps = re.findall(r"clock\.jumped\S* .*?seconds\S*?=\S*?(-?[\d.]+)", service.log())
    assert [round(float(seconds), -1) for seconds in jumps] == [-600]
    assert service.get("/readyz")[0] == 200


def test_sign_ins_and_forms_outlive_a_clock_that_is_set_back(at_offset):
    """A cashier who signed in a minute ago must not be told to sign in again."""
    service, offset = at_offset
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = {"username": "demo", "password": DEMO_PASSWORD}
    status, body, _ = service.request("POST", "/token", urlencode(fields).encode(), form)
    tokens = json.loads(body)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    _, page, headers = service.request("GET", "/login", headers={"Accept": "text/html"})
    cookie = headers["Set-Cookie"].split(";")[0]
    (csrf, *_) = re.findall(r'name="csrf_token" value="([^"]+)"', page.decode())

    offset.write_text("-600\n")
    answers = [status, service.request("GET", "/users/me/", headers=bearer)[0]]
    renewal = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
    json_type = {"Content-Type": "application/json"}
    answers.append(service.request("POST", "/token/refresh", renewal, json_type)[0])
    filled = urlencode({**fields, "csrf_token": csrf}).encode()
    answers.append(service.request("POST", "/api/login", filled, {**form, "Cookie": cookie})[0])

    assert answers == [200, 200, 200, 200]


def test_money_paid_just_before_the_clock_was_set_back_is_confirmed_at_once(at_offset):
    """The bank's notice waits for an instant that now lies eleven minutes ahead."""
    service, offset = at_offset
    payment = service.create()
    _pay_late(service, payment)

    offset.write_text("-600\n")
    jumped_at = time.monotonic()
    _wait_for(service, payment, "confirmed")

    assert time.monotonic() - jumped_at < 10


def test_a_process_two_seconds_behind_takes_fresh_tokens(serve, tmp_path):
    """A load balancer sends the next request of a sign-in to a machine whose clock is behind."""
    ahead = serve()
    behind = serve(
        DATABASE_URL=f"sqlite:///{ahead.instance / 'balcao.sqlite3'}",
        instance=tmp_path / "behind",
        PUBLIC_URL=ahead.url,
        LD_PRELOAD=_library(),
        FAKETIME="-2",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = urlencode({"username": "demo", "password": DEMO_PASSWORD}).encode()

    status, body, _ = ahead.request("POST", "/token", fields, form)
    tokens = json.loads(body)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    answers = [status, behind.request("GET", "/users/me/", headers=bearer)[0]]
    renewal = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
    json_type = {"Content-Type": "application/json"}
    answers.append(behind.request("POST", "/token/refresh", renewal, json_type)[0])

    assert answers == [200, 200, 200]


def _runs(service, job: str) -> float:
    return _metric(service, f'balcao_job_runs_total{{job="{job}"}}')


def _expiries(service) -> float:
    return _metric(service, 'balcao_payment_events_total{event="payment.expired"}')


def _metric(service, series: str) -> float:
    text = service.get("/metrics")[1].decode()
    match = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(match[1]) if match else 0


def _pay_late(service, payment) -> str:
    """Pay at the bank in the same process, which delays its notice by a minute."""
    body_bytes = json.dumps(
        {"code": payment["pix_code"], "pin": "1234", "scenario": "late", "late_seconds": 60}
    ).encode()
    status, body, _ = service.request(
        "POST", "/bank/api/pay", body_bytes, {"Content-Type": "application/json"}
    )
    assert status == 200, body
    return json.loads(body)["end_to_end_id"]


def _wait_for(service, payment, status: str) -> None:
    limit = time.monotonic() + 30
    while service.payment(payment["id"])["status"] != status and time.monotonic() < limit:
        time.sleep(0.2)
    assert service.payment(payment["id"])["status"] == status
