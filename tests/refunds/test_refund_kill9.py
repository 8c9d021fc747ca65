"""After a kill -9 between the refund's row and the bank's answer, the money is returned once."""

from __future__ import annotations

import json
import time

import pytest
import sqlalchemy as sa

from bank.branch import EXTENSION
from bank.money.audit import audit
from core.clock import SystemClock
from db_models import Refund
from tests.db.tables import Tables
from tests.support.ports import free_port
from tests.support.town import PIN, gated_bank

pytestmark = pytest.mark.slow

WITHIN_SECONDS = 40


def wait_until(condition, description):
    """Wait until `condition()` is true; fails with the description."""
    limit = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < limit:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_SECONDS} s: {description}")


def refunds_of(service, payment):
    """The payment's refunds, from the API."""
    status, body = service.get(f"/payments/pix/{payment['id']}/refunds")
    assert status == 200, body
    return json.loads(body)


def audit_figures(gate):
    """The bank's audit of its ledger: faults, number of refunds, and the sum of all accounts."""
    report = audit(gate.bank.extensions[EXTENSION].database)
    return report.faults, report.refunds, report.total_centavos


def new_paid_payment(service, gate):
    """Create a payment and pay it at the bank."""
    payment = service.create()
    order = {"code": payment["pix_code"], "pin": PIN}
    paid = gate.bank.test_client().post("/api/pay", json=order)
    assert paid.get_json()["status"] == "confirmed"
    return payment


def refund_without_answer(service, payment):
    """Request a refund and give up after a second."""
    body, headers = b'{"refund_id": "r1"}', {"Content-Type": "application/json"}
    path = f"/payments/pix/{payment['id']}/refunds"
    with pytest.raises(OSError, match=r".*"):
        service.request("POST", path, body, headers, timeout=1)


@pytest.mark.timeout(150)
def test_a_service_that_is_killed_before_the_answer_refunds_once(serve, any_database_url, tmp_path):
    """Of two orders the bank has not received one and has executed the other; both are retried."""
    port, bank_port = free_port(), free_port()
    is_sqlite = any_database_url.startswith("sqlite")
    bank_database = f"sqlite:///{tmp_path}/bank.sqlite3" if is_sqlite else any_database_url
    with gated_bank(bank_database, f"http://127.0.0.1:{port}", bank_port, SystemClock()) as gate:
        service = serve(
            DATABASE_URL=any_database_url,
            PORT=port,
            BANK_URL=f"http://127.0.0.1:{bank_port}/bank",
        )
        payments = [new_paid_payment(service, gate) for _ in range(2)]
        for payment, after in zip(payments, (False, True), strict=True):
            gate.hold("/api/refunds", after=after)
            refund_without_answer(service, payment)
            assert gate.reached.wait(10)
        service.kill()
        assert audit_figures(gate) == ((), 1, 0), "the bank has executed the second order only"
        gate.let_go()
        tables = Tables(any_database_url)
        statuses = [row.status for row in tables.rows(sa.select(Refund.status))]
        assert statuses == ["processing", "processing"]
        if not is_sqlite:  # On SQLite the test waits until the killed process's lease ends.
            end_lease = sa.update(Refund.__table__).values(ask_at=SystemClock().now())
            tables.change(end_lease)
        service.start()

        def refund_statuses():
            return [refunds_of(service, payment)[0]["status"] for payment in payments]

        wait_until(lambda: refund_statuses() == ["done", "done"], "both refunds are done")
        for payment in payments:
            assert len(refunds_of(service, payment)) == 1
            assert service.payment(payment["id"])["refunded_value"] == 10.0
            assert tables.event_names(payment["id"]).count("payment.refunded") == 1
        assert audit_figures(gate) == ((), 2, 0)
    assert service.stop() == 0
    assert "Traceback" not in service.log()
