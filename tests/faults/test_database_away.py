"""The database stops and returns: callers get 503; nothing is lost or expires too early."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from functools import partial

import pytest

from core.clock import SystemClock, rfc3339
from core.signing import signatures
from tests.db.tables import Tables
from tests.faults.settled import check_settled, count_unannounced
from tests.faults.storm import Storm, Watcher, wait_until
from tests.support.databases import create_database
from tests.support.deadlines import bring_forward
from tests.support.service import SECRET, end_to_end_id

pytestmark = pytest.mark.slow

PAYMENTS = 30
LIFETIME_SECONDS = 4
GRACE = timedelta(seconds=4)
KINDS = [
    pytest.param("mysql", id="mariadb", marks=pytest.mark.mysql),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


def tell_with_headers(service, payment, **fields):
    """Send a notification; return the answer's status, problem and headers."""
    body = {"bank_payment_id": payment["id"], "value": payment["value"], **fields}
    body_bytes = json.dumps(body).encode()
    signed = signatures.signed_headers(SECRET, "msg_away", SystemClock().now(), body_bytes)
    headers = {"Content-Type": "application/json", **signed}
    status, answer, headers = service.request(
        "POST", "/payments/pix/confirmation", body_bytes, headers, timeout=30
    )
    return status, json.loads(answer), headers


def check_answers_while_away(service, payment, fields):
    """Check that each interface answers 503 in its own form while the database is away."""
    status, problem, headers = tell_with_headers(service, payment, **fields)
    assert (status, problem["code"]) == (503, "service-unavailable")
    assert int(headers["Retry-After"]) > 0
    status, body = service.get("/readyz")
    ready = json.loads(body)
    assert (status, ready["status"]) == (503, "not ready")
    assert ready["checks"]["database"] not in ("ok", "")
    assert service.get("/healthz")[0] == 200
    for path in (f"/payments/pix/{payment['id']}", f"/payments/pix/{payment['id']}/receipt"):
        status, page, headers = service.request("GET", path, headers={"Accept": "text/html"})
        assert (status, headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert b"<html" in page
        assert b"Traceback" not in page
    request_body = json.dumps({"value": 10}).encode()
    status, body, headers = service.request(
        "POST", "/payments/pix", request_body, {"Content-Type": "application/json"}
    )
    assert (status, json.loads(body)["code"]) == (503, "service-unavailable")


@pytest.mark.timeout(150)
@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_stops_and_returns_loses_nothing(serve, private_server, kind):
    """The bank keeps its notices, and its retries succeed when the database is back."""
    server = private_server(kind)
    url = create_database(server.url)
    service = serve(DATABASE_URL=url, SWEEP_START_GRACE_SECONDS=GRACE.total_seconds())
    tables = Tables(url)
    payments = [service.create(order_id=f"order-{n}") for n in range(PAYMENTS)]
    with Watcher(service, payments, "websocket") as watcher, Storm(service, payments) as storm:
        wait_until(partial(storm.has_accepted, 10), 30, "some answers")
        paid, unpaid = (service.create(expires_in=10) for _ in range(2))
        bring_forward(service, LIFETIME_SECONDS, paid, unpaid)
        due_at = time.monotonic() + LIFETIME_SECONDS
        in_time = {"end_to_end_id": end_to_end_id(), "paid_at": rfc3339(SystemClock().now())}
        server.stop()
        check_answers_while_away(service, paid, in_time)
        time.sleep(max(0.0, due_at - time.monotonic()))
        lost_at = SystemClock().now()
        server.start()
        wait_until(lambda: service.get("/readyz")[0] == 200, 20, "ready again")
        assert tell_with_headers(service, paid, **in_time)[0] == 200
        wait_until(storm.is_over, 60, "every notification answered")
        assert storm.deferred > 0
        check_settled(tables, storm)
        wait_until(watcher.knows_all, 20, "the watcher knows all")
        wait_until(lambda: len(tables.event_names(unpaid["id"])) == 2, 20, "the other expired")
    assert tables.event_names(paid["id"]) == ["payment.created", "payment.confirmed"]
    expired = tables.events(unpaid["id"])[1]
    assert expired.name == "payment.expired"
    assert expired.occurred_at - lost_at >= GRACE
    wait_until(lambda: count_unannounced(tables) == 0, 20, "every event marked as announced")
    assert service.stop() == 0
    assert "Traceback" not in service.log(), service.log()[-4000:]
