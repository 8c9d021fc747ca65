"""The three scenarios of recovery, from end to end, each with a kill -9 in it.

A service as a process, the simulated bank as an application beside it that outlives the service.
The payer has nothing but the picture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from bank.branch import EXTENSION
from bank.money.audit import audit
from core.clock import SystemClock
from db_models import Payment
from payments.qr_image import qr_png
from tests.db.tables import Tables
from tests.support.service import ServiceProcess, free_port
from tests.support.town import PIN, Gate, gated_bank

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

NEVER_SECONDS = 300
"""So long after the last turn the bank's list is walked: within a test, only a payer asks."""

ASKED_AGAIN_SECONDS = 30
"""The bank is asked at most once in 5 s, and a look-up that it held ends after 4 s."""


@dataclass
class Scene:
    """A service that may be killed, its bank, and its tables."""

    service: ServiceProcess
    gate: Gate
    tables: Tables

    def pay(self, payment: dict[str, Any], **changes: Any) -> Any:
        """Pay at the bank; `scenario="lost"` is a notice that never arrives."""
        order = {"code": payment["pix_code"], "pin": PIN, **changes}
        answer = self.gate.bank.test_client().post("/api/pay", json=order)
        return answer.status_code, answer.get_json(force=True)

    def show(self, picture: bytes) -> dict[str, Any]:
        """Upload the picture; the payment must be found."""
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
        told: dict[str, Any] = json.loads(answer)
        return told

    def tap(self, action: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Press the one button, as a program does."""
        path = action["url"].removeprefix(self.service.url)
        status, body, _ = self.service.request(
            action["method"], path, headers={"Accept": "application/json"}
        )
        return status, json.loads(body)

    def let_expire(self, payment: dict[str, Any]) -> None:
        """Let the deadline be now: the shortest that may be asked for is ten seconds away."""
        rows = sa.update(Payment.__table__).where(Payment.txid == payment["id"])
        self.tables.change(rows.values(expires_at=SystemClock().now()))
        assert self.service.payment(payment["id"])["status"] == "expired"

    def bank_is_right(self, kept: int) -> None:
        """The bank's own audit finds no fault; so many transfers were kept."""
        found = audit(self.gate.bank.extensions[EXTENSION].database)
        assert found.faults == ()
        verdicts = self.tables.rows("SELECT verdict FROM receipts")
        assert [row[0] for row in verdicts].count("accepted") == kept


@pytest.fixture
def scene(serve, any_database_url, tmp_path) -> Iterator[Callable[..., Scene]]:
    """Start the two: scene(PAYMENT_TTL_SECONDS=…) → Scene."""
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
    """1. Bob paid; the server died before it was told. His picture settles it, by the bank's word.

    The bank's notice is lost for good and its list gets no answer: nothing but the question that
    the picture raises can have settled the payment.
    """
    here = scene()
    payment = here.service.create(value="54.90", order_id="A1")
    other = here.service.create(value="54.90", order_id="A2")
    picture = qr_png(payment["pix_code"])
    assert here.pay(payment, scenario="lost")[0] == 200
    here.service.kill()
    assert here.tables.payment(payment["id"]).status == "pending"

    here.gate.hold("/api/settled")  # the walk of the list after the start gets no answer
    here.service.start()
    told = here.show(picture)

    assert (told["payment_id"], told["state"], told["status"]) == (
        payment["id"],
        "paid",
        "completed",
    )
    assert told["settled_now"] is True
    status, receipt = here.tap(told["action"])
    assert (status, receipt["receipt"]["payment_id"]) == (200, payment["id"])
    assert here.show(picture)["settled_now"] is False
    assert here.tables.payment(other["id"]).status == "pending"
    names = here.tables.event_names(payment["id"])
    assert names == ["payment.created", "payment.confirmed"]
    here.gate.let_go()
    here.bank_is_right(kept=1)


def test_paid_later_from_another_device(scene):
    """2. Bob keeps the picture, the server crashes, and later another phone pays from it."""
    here = scene()
    payment = here.service.create(value="54.90", order_id="B1")
    picture = qr_png(payment["pix_code"])
    here.service.kill()
    here.service.start()

    told = here.show(picture)
    assert (told["state"], told["action"]["name"]) == ("waiting", "pay")
    status, page = here.tap(told["action"])
    assert (status, page["payment"]["pix_code"]) == (200, payment["pix_code"])
    assert here.pay(page["payment"])[1]["status"] == "confirmed"
    here.service.kill()
    here.service.start()

    told = here.show(picture)
    assert (told["state"], told["status"]) == ("paid", "completed")
    here.bank_is_right(kept=1)


def test_several_attempts_are_paid_once(scene):
    """3. The code expired, a new one was made, the server crashed: paying both is impossible.

    The old code is still watched: it was paid in time and told late, so it counts, and the new
    one is closed; money that comes for that one goes back.
    """
    here = scene(PAYMENT_TTL_SECONDS=3600)
    old = here.service.create(value="54.90", order_id="C1")
    picture = qr_png(old["pix_code"])
    assert here.pay(old, scenario="lost")[0] == 200
    here.gate.hold("/api/")  # while it stays silent, nobody can know
    here.let_expire(old)

    told = here.show(picture)
    assert (told["state"], told["action"]["name"]) == ("expired", "renew")
    status, answer = here.tap(told["action"])
    assert status == 201
    new = answer["payment"]
    here.service.kill()
    here.service.start()
    status, answer = here.tap(told["action"])
    assert (status, answer["payment"]["id"]) == (201, new["id"])

    here.gate.let_go()
    limit = time.monotonic() + ASKED_AGAIN_SECONDS
    while (settled := here.show(picture))["state"] != "paid":
        assert time.monotonic() < limit, settled
        time.sleep(1)
    refused = here.show(qr_png(new["pix_code"]))
    assert (refused["state"], refused["status"]) == ("paid-elsewhere", "failed")
    # The payer's bank reads the new code's location, which is gone.
    status, why = here.pay(new)
    assert status in (409, 410, 422), why
    assert here.tap(told["action"])[0] == 409
    here.bank_is_right(kept=1)
    statuses = sorted(row[0] for row in here.tables.rows("SELECT status FROM payments"))
    assert statuses == ["cancelled", "confirmed"]
