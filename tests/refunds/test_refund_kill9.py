"""kill -9 between the refund's row and the bank's answer: the money goes back, and once."""

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
from tests.support.service import free_port
from tests.support.town import PIN, gated_bank

pytestmark = pytest.mark.slow

WITHIN_SECONDS = 40


def wait_until(is_so, what):
    """Wait until it is so; fails with what was waited for."""
    limit = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < limit:
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_SECONDS} s: {what}")


def refunds_of(service, payment):
    """The payment's refunds, as its merchant is told."""
    status, body = service.get(f"/payments/pix/{payment['id']}/refunds")
    assert status == 200, body
    return json.loads(body)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("after", [False, True], ids=["before the bank", "after the bank"])
def test_a_service_killed_before_the_answer_gives_the_money_back_once(
    serve, any_database_url, tmp_path, after
):
    """Either the bank never heard of it or has done it already: asked again, it knows which."""
    port, bank_port = free_port(), free_port()
    is_sqlite = any_database_url.startswith("sqlite")
    bank_database = f"sqlite:///{tmp_path}/bank.sqlite3" if is_sqlite else any_database_url
    with gated_bank(bank_database, f"http://127.0.0.1:{port}", bank_port, SystemClock()) as gate:
        service = serve(
            DATABASE_URL=any_database_url,
            PORT=port,
            BANK_URL=f"http://127.0.0.1:{bank_port}/bank",
        )
        payment = service.create()
        paid = gate.bank.test_client().post(
            "/api/pay", json={"code": payment["pix_code"], "pin": PIN}
        )
        assert paid.get_json()["status"] == "confirmed"
        gate.hold("/api/refunds", after=after)
        raw, headers = b'{"refund_id": "r1"}', {"Content-Type": "application/json"}
        path = f"/payments/pix/{payment['id']}/refunds"
        with pytest.raises(OSError, match=r".*"):
            service.request("POST", path, raw, headers, timeout=1)
        assert gate.reached.wait(10)
        service.kill()
        gate.let_go()
        tables = Tables(any_database_url)
        assert [row.status for row in tables.rows(sa.select(Refund.status))] == ["processing"]
        if not is_sqlite:  # there the turn of the killed process is waited for to its end
            turn_is_over = sa.update(Refund.__table__).values(ask_at=SystemClock().now())
            tables.change(turn_is_over)
        service.start()
        wait_until(lambda: refunds_of(service, payment)[0]["status"] == "done", "it is done")
        assert len(refunds_of(service, payment)) == 1
        assert service.payment(payment["id"])["refunded_value"] == 10.0
        assert tables.event_names(payment["id"]).count("payment.refunded") == 1
        found = audit(gate.bank.extensions[EXTENSION].database)
        assert (found.faults, found.refunds, found.total_centavos) == ((), 1, 0)
    assert service.stop() == 0
    assert "Traceback" not in service.log()
