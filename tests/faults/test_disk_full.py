"""SQLite's disk is full: nothing is lost, the bank keeps its notice, /readyz answers 503."""

from __future__ import annotations

import json
import resource
import time

import pytest

from tests.support.service import end_to_end_id

pytestmark = pytest.mark.slow


def test_a_full_disk_defers_confirmations_and_loses_none(serve):
    """503 while nothing can be written; pages still work, and afterwards everything succeeds."""
    service = serve()
    payment, transfer_id = service.create(), end_to_end_id()
    process = service.process.pid
    largest = max(file.stat().st_size for file in service.instance.glob("*.sqlite3*"))

    # No file of this process may grow: for SQLite that is a full disk.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    during, body, headers = _confirmation(service, payment, transfer_id)
    ready, readiness = service.get("/readyz")
    page, _ = service.get(f"/payments/pix/{payment['id']}", accept="text/html")
    resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    assert largest > 1
    assert (during, json.loads(body)["code"]) == (503, "service-unavailable")
    assert headers["Retry-After"]
    assert (ready, page) == (503, 200), readiness
    after, answer = service.tell(payment, end_to_end_id=transfer_id)
    assert (after, answer["payment"]["status"]) == (200, "confirmed")
    _wait_until_ready(service)


def test_a_full_disk_is_noticed_before_anybody_pays(serve):
    """A balancer must hear of it from /readyz, not from the first payer."""
    service = serve()
    assert service.get("/readyz")[0] == 200
    process = service.process.pid
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    limit = time.monotonic() + 15
    while service.get("/readyz")[0] == 200 and time.monotonic() < limit:
        time.sleep(0.5)
    ready, readiness = service.get("/readyz")
    resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert ready == 503, readiness
    _wait_until_ready(service)


def _confirmation(service, payment, transfer_id):
    from core.clock import SystemClock, rfc3339
    from core.signing import signatures
    from tests.support.service import SECRET

    now = SystemClock().now()
    body_bytes = json.dumps(
        {
            "bank_payment_id": payment["id"],
            "value": payment["value"],
            "end_to_end_id": transfer_id,
            "paid_at": rfc3339(now),
        }
    ).encode()
    headers = signatures.signed_headers(SECRET, f"msg_{transfer_id}", now, body_bytes)
    return service.request(
        "POST",
        "/payments/pix/confirmation",
        body_bytes,
        {"Content-Type": "application/json", **headers},
    )


def _wait_until_ready(service) -> None:
    limit = time.monotonic() + 10
    while service.get("/readyz")[0] != 200 and time.monotonic() < limit:
        time.sleep(0.1)
    assert service.get("/readyz")[0] == 200
