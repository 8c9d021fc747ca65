"""The three scenarios of recovery, end to end, each with a kill -9.

The service is a process; the simulated bank is an application that outlives the service. The payer
has only the picture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bank.branch import EXTENSION
from bank.money.audit import audit
from core.clock import SystemClock
from db_models import Payment
from payments.qr_image import qr_png
from tests.db.tables import Tables
from tests.support.ports import free_port
from tests.support.service import ServiceProcess
from tests.support.town import PIN, Gate, gated_bank

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

NEVER_SECONDS = 300
"""The interval of reconciliation, so that within a test only the payer's picture asks the bank."""

ASKED_AGAIN_SECONDS = 30
"""Enough for a lookup that times out after 4 s and the minimum of 5 s between lookups."""


@dataclass
class Scene:
    """A service that a test may kill, its bank, and its tables."""

    service: ServiceProcess
    gate: Gate
    tables: Tables

    def pay(self, payment: dict[str, Any], **changes: Any) -> Any:
        """Pay at the bank; `scenario="lost"` is a notice that never arrives."""
        order = {"code": payment["pix_code"], "pin": PIN, **changes}
        answer = self.gate.bank.test_client().post("/api/pay", json=order)
        return answer.status_code, answer.get_json(force=True)

    def upload(self, picture: bytes) -> dict[str, Any]:
        """Upload the picture; fail unless the payment is found."""
        edge = "edge-of-a-part"
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="p.png"\r\n\r\n'
        body = head.encode() + picture + f"\r\n--{edge}--\r\n".encode()
        status, answer, _ = self.service.request(
            "POST",
            "/api/payment/upload-screenshot-with-qr",
            body,
            {"Content-Type": f"multipart/form-data; boundary={edge}", "Accept-Language": "en"},
        )
        assert status == 200, answer
        body_json: dict[str, Any] = json.loads(answer)
        return body_json

    def tap(self, action: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Follow the action as a program does."""
        path = action["url"].removeprefix(self.service.url)
        status, body, _ = self.service.request(
            action["method"], path, headers={"Accept": "application/json"}
        )
        return status, json.loads(body)

    def let_expire(self, payment: dict[str, Any]) -> None:
        """Set the deadline to now, because the API accepts no deadline within ten seconds.

        The payment keeps its lifetime, which a renewal takes over.
        """
        rows = sa.update(Payment.__table__).where(Payment.txid == payment["id"])
        now = SystemClock().now()
        lifetime = timedelta(seconds=self.service.payment(payment["id"])["remaining_ms"] / 1000)
        self.tables.change(rows.values(expires_at=now, created_at=now - lifetime))
        assert self.service.payment(payment["id"])["status"] == "expired"

    def check_bank(self, accepted_count: int) -> None:
        """Check that the bank's audit finds no fault, and how many transfers were accepted."""
        result = audit(self.gate.bank.extensions[EXTENSION].database)
        assert result.faults == ()
        verdicts = self.tables.rows("SELECT verdict FROM receipts")
        assert [row[0] for row in verdicts].count("accepted") == accepted_count


@pytest.fixture
def scene(serve, any_database_url, tmp_path) -> Iterator[Callable[..., Scene]]:
    """Start service and bank: scene(PAYMENT_TTL_SECONDS=…) → Scene."""
    port, bank_port = free_port(), free_port()
    is_sqlite = any_database_url.startswith("sqlite")
    bank_database = f"sqlite:///{tmp_path}/bank.sqlite3" if is_sqlite else any_database_url
    with gated_bank(bank_database, f"http://127.0.0.1:{port}", bank_port, SystemClock()) as gate:

        def start(**environment: Any) -> Scene:
            service = serve(
                DATABASE_URL=any_database_url,
                PORT=port,
                BANK_URL=f"http://127.0.0.1:{bank_port}/bank",
                RECONCILE_INTERVAL_SECONDS=NEVER_SECONDS,
                **environment,
            )
            return Scene(service, gate, Tables(any_database_url))

        yield start


def test_the_server_crashed_before_the_notice(scene):
    """1. Bob paid; the server crashed before the bank's notice. His picture settles the payment.

    The notice is lost and reconciliation gets no answer, so only the lookup for the picture can
    settle the payment.
    """
    here = scene()
    payment = here.service.create(value="54.90", order_id="A1")
    other = here.service.create(value="54.90", order_id="A2")
    picture = qr_png(payment["pix_code"])
    assert here.pay(payment, scenario="lost")[0] == 200
    here.service.kill()
    assert here.tables.payment(payment["id"]).status == "pending"

    here.gate.hold("/api/settled")  # the reconciliation after the start gets no answer
    here.service.start()
    recovery = here.upload(picture)

    assert (recovery["payment_id"], recovery["state"], recovery["status"]) == (
        payment["id"],
        "paid",
        "completed",
    )
    assert recovery["settled_now"] is True
    status, receipt = here.tap(recovery["action"])
    assert (status, receipt["receipt"]["payment_id"]) == (200, payment["id"])
    assert here.upload(picture)["settled_now"] is False
    assert here.tables.payment(other["id"]).status == "pending"
    names = here.tables.event_names(payment["id"])
    assert names == ["payment.created", "payment.confirmed"]
    here.gate.let_go()
    here.check_bank(accepted_count=1)


def test_paid_later_from_another_device(scene):
    """2. Bob keeps the picture, the server crashes, and later another phone pays from it."""
    here = scene()
    payment = here.service.create(value="54.90", order_id="B1")
    picture = qr_png(payment["pix_code"])
    here.service.kill()
    here.service.start()

    recovery = here.upload(picture)
    assert (recovery["state"], recovery["action"]["name"]) == ("waiting", "pay")
    status, page = here.tap(recovery["action"])
    assert (status, page["payment"]["pix_code"]) == (200, payment["pix_code"])
    assert here.pay(page["payment"])[1]["status"] == "confirmed"
    here.service.kill()
    here.service.start()

    recovery = here.upload(picture)
    assert (recovery["state"], recovery["status"]) == ("paid", "completed")
    here.check_bank(accepted_count=1)


def test_several_attempts_are_paid_once(scene):
    """3. The code expired, a new one was made, the server crashed: both cannot be paid.

    The old code was paid in time and its notice came late, so the old payment counts. The new
    payment is cancelled, and money for it goes back.
    """
    here = scene(PAYMENT_TTL_SECONDS=3600)
    old = here.service.create(value="54.90", order_id="C1")
    picture = qr_png(old["pix_code"])
    assert here.pay(old, scenario="lost")[0] == 200
    here.gate.hold("/api/")  # the service cannot learn of the money yet
    here.let_expire(old)

    recovery = here.upload(picture)
    assert (recovery["state"], recovery["action"]["name"]) == ("expired", "renew")
    status, answer = here.tap(recovery["action"])
    assert status == 201
    new = answer["payment"]
    here.service.kill()
    here.service.start()
    status, answer = here.tap(recovery["action"])
    assert (status, answer["payment"]["id"]) == (201, new["id"])

    here.gate.let_go()
    limit = time.monotonic() + ASKED_AGAIN_SECONDS
    while (settled := here.upload(picture))["state"] != "paid":
        assert time.monotonic() < limit, settled
        time.sleep(1)
    new_recovery = here.upload(qr_png(new["pix_code"]))
    assert (new_recovery["state"], new_recovery["status"]) == ("paid-elsewhere", "failed")
    # The payer's bank reads the new code's location, which no longer exists.
    status, why = here.pay(new)
    assert status in (409, 410, 422), why
    assert here.tap(recovery["action"])[0] == 409
    here.check_bank(accepted_count=1)
    statuses = sorted(row[0] for row in here.tables.rows("SELECT status FROM payments"))
    assert statuses == ["cancelled", "confirmed"]
