"""CLOCK_FILE: a service whose clock is ahead from its start, and moves while it runs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from core.clock import SystemClock, parse_rfc3339
from tests.support.service import ServiceProcess

WITHIN_SECONDS = 20
FIRST_RUN = 'balcao_job_runs_total{job="reconcile"} 1.0'


def wait_for(is_there: Callable[[], bool]) -> None:
    """Raises AssertionError."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_there():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_the_date_of_answers_is_that_of_the_clock(tmp_path, mode):
    """A client that is another installation learns by it how far our clock is ahead of its own."""
    file = tmp_path / "clock"
    with ServiceProcess(tmp_path / "instance", CLOCK_FILE=file, ASYNC_MODE=mode) as service:
        for hours in (0, 3):
            file.write_text(str(hours * 3600), "utf-8")
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=15)
            with closing(connection):
                connection.request("GET", "/healthz")
                dates = connection.getresponse().headers.get_all("Date")
            assert dates is not None
            [date] = dates
            lead = parsedate_to_datetime(date) - SystemClock().now()
            assert abs(lead - timedelta(hours=hours)) < timedelta(seconds=60)


def test_service_bank_and_jobs_follow_the_file(tmp_path):
    """A restarted service goes on at its time. Its jobs run by the machine's, or never."""
    file = tmp_path / "clock"
    ahead = timedelta(days=90)
    file.write_text(str(ahead.total_seconds()), "utf-8")
    settings = {"CLOCK_FILE": file, "RECONCILE_INTERVAL_SECONDS": 300}
    with ServiceProcess(tmp_path / "instance", **settings) as service:
        wait_for(lambda: f"ahead by the seconds in {file}" in service.log())
        # The first reconciliation is at once, and not in 90 days.
        wait_for(lambda: FIRST_RUN in service.get("/metrics")[1].decode())
        payment = service.create(expires_in=86400)
        lead = parse_rfc3339(payment["created_at"]) - SystemClock().now()
        assert abs(lead - ahead) < timedelta(seconds=60)

        body = json.dumps({"code": payment["pix_code"], "pin": "1234"}).encode()
        json_type = {"Content-Type": "application/json"}
        status, answer, _ = service.request("POST", "/bank/api/pay", body, json_type)
        assert (status, json.loads(answer)["status"]) == (200, "confirmed")

        other = service.create(expires_in=86400)
        file.write_text(str(ahead.total_seconds() + 86401), "utf-8")
        # Stored by the sweep as an event, not only shown by the clock.
        wait_for(lambda: b'"payment.expired"' in service.get("/events?type=payment.expired")[1])
        assert service.payment(other["id"])["status"] == "expired"
        assert service.payment(payment["id"])["status"] == "confirmed"
