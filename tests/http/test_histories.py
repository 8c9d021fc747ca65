"""A payment's life as a state machine: random histories through the real routes and database.

After each step the service is compared with a model that a reader can check by eye.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from flask import Flask
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from core.clock import rfc3339
from db_models import PaymentStatus
from db_models.base import db
from payments.sweep import expire_batch
from tests.support.clocks import FrozenClock
from tests.support.service import BankInTest, close_app, ready_app, settings_for

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


@dataclass
class Modelled:
    """The expected state of one payment."""

    id: str
    watch_code: str
    order_id: str | None
    centavos: int
    deadline: datetime
    lifetime: int
    status: str = "pending"
    changes: int = 1
    refusal: str | None = None
    accepted: str | None = None
    renewed_as: str | None = None
    events: list[str] = field(default_factory=lambda: ["payment.created"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One service for all histories; each history checks only its own payments."""
    folder = tmp_path_factory.mktemp("histories")
    Histories.clock = FrozenClock(NOW)
    url = f"sqlite:///{folder / 'balcao.sqlite'}"
    Histories.app = ready_app(settings_for(url, folder), Histories.clock)
    # Thousands of log lines would take longer than the requests.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    close_app(Histories.app)


class Histories(RuleBasedStateMachine):
    """Create, pay, pay late, notify late or twice, cancel, renew, sweep, wait: in any order."""

    app: Flask
    clock: FrozenClock

    def __init__(self) -> None:
        """Start without a payment."""
        super().__init__()
        self.client: Any = self.app.test_client()
        self.bank = BankInTest(self.client, self.clock)
        self.name = secrets.token_hex(4)  # histories must not share orders or receipts
        self.payments: dict[str, Modelled] = {}
        self.receipts: dict[str, tuple[str, int, str | None]] = {}
        self.told: list[dict[str, Any]] = []
        self.steps = 0

    @initialize()
    def first(self) -> None:
        """Create the first payment, after a sweep of earlier histories."""
        self.clock.advance(hours=1)
        with self.app.app_context():
            expire_batch(1000)
        self._create(f"{self.name}-A", 2, 60)

    # The steps.

    @rule(
        order=st.sampled_from(["A", "A", "B", None]),
        centavos=st.integers(1, 3),
        expires_in=st.sampled_from([10, 60, 600]),
    )
    def create(self, order: str | None, centavos: int, expires_in: int) -> None:
        """A shop creates a payment."""
        self._create(order and f"{self.name}-{order}", centavos, expires_in)

    @rule(seconds=st.sampled_from([0.001, 1, 10, 11, 60, 61, 601, 1801]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds=seconds)

    @rule(data=st.data(), after=st.sampled_from([0, 0.001, 5]))
    def reach_a_deadline(self, data: st.DataObject, after: float) -> None:
        """Time passes until just before, at or after a deadline."""
        edges = {one.deadline for one in self.payments.values() if one.status == "pending"}
        ahead = sorted(edge for edge in edges if edge > self.clock.now())
        if ahead:
            self.clock.instant = data.draw(st.sampled_from(ahead)) + timedelta(seconds=after)

    @rule(data=st.data(), more=st.sampled_from([0, 0, 0, 1]))
    def pay(self, data: st.DataObject, more: int) -> None:
        """The bank notifies of new money, sometimes of a wrong amount."""
        self._notify(self._any(data), self.clock.now(), more)

    @precondition(lambda self: any(map(self._is_past, self.payments.values())))
    @rule(data=st.data(), late=st.sampled_from([0, 0, 0.001]))
    def tell_late(self, data: st.DataObject, late: float) -> None:
        """The bank notifies late of money that it took at the deadline or a moment later."""
        past = [one.id for one in self.payments.values() if self._is_past(one)]
        one = self.payments[data.draw(st.sampled_from(past))]
        self._notify(one, one.deadline + timedelta(seconds=late), 0)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        """The bank repeats a notification."""
        self._tell(data.draw(st.sampled_from(self.told)))

    @precondition(lambda self: len(self.payments) > 1)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """The merchant cancels a payment."""
        one = self._any(data)
        answer = self.client.post(f"/payments/pix/{one.id}/cancel")
        if self._status(one) == "pending":
            assert answer.status_code == 200
            self._becomes(one, "cancelled")
        else:
            assert (answer.status_code, answer.json["code"]) == (409, "not-cancellable")

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """A shopper renews an expired payment."""
        one = self._any(data)
        answer = self.client.post(f"/payments/pix/{one.id}/renew")
        while True:
            if self._status(one) != "expired":
                assert (answer.status_code, answer.json["code"]) == (409, "not-renewable")
                return
            if one.renewed_as is None:
                break
            newer = self.payments[one.renewed_as]
            if self._status(newer) == "pending":
                assert answer.status_code == 201
                assert answer.json["payment"]["id"] == newer.id
                return
            one = newer
        if self._blocked(one.order_id):
            assert (answer.status_code, answer.json["code"]) == (409, "order-already-has-payment")
            return
        assert answer.status_code == 201
        self._write_down(one)
        self._write_down_order(one.order_id)
        fresh = self._remember(answer.json["payment"], one.order_id, one.centavos, one.lifetime)
        one.renewed_as = fresh.id

    @rule()
    def sweep(self) -> None:
        """The sweep runs."""
        with self.app.app_context():
            _, won = expire_batch(100)
        due_payments = [one for one in self.payments.values() if self._is_due(one)]
        assert won == len(due_payments)
        for one in due_payments:
            self._write_down(one)

    # What must hold after each step.

    @invariant()
    def readers_see_what_the_model_says(self) -> None:
        """Status, number, time left and refusal of every payment."""
        data = self.client.get("/payments/pix?limit=100").json["data"]
        items = {one["id"]: one for one in data}
        for one in self.payments.values():
            self._compare(one, items[one.id])

    @invariant()
    def each_interface_agrees(self) -> None:
        """The poll, the location and the list's filters; one payment and one status per step."""
        self.steps += 1
        one = list(self.payments.values())[self.steps % len(self.payments)]
        self._compare(one, self.client.get(f"/payments/pix/{one.id}/status").json)
        pending = self._status(one) == "pending"
        location = self.client.get(f"/qr/v2/{one.watch_code}")
        assert location.status_code == (200 if pending else 410)
        status = ("pending", "confirmed", "expired", "cancelled")[self.steps % 4]
        data = self.client.get(f"/payments/pix?limit=100&status={status}").json["data"]
        expected = {one.id for one in self.payments.values() if self._status(one) == status}
        assert {one["id"] for one in data} & set(self.payments) == expected

    def _compare(self, one: Modelled, items: dict[str, Any]) -> None:
        assert items["status"] == self._status(one)
        assert items["sequence"] == one.changes + self._is_due(one)
        remaining = max(timedelta(0), one.deadline - self.clock.now())
        pending = self._status(one) == "pending"
        assert items["remaining_ms"] == (remaining // timedelta(milliseconds=1) if pending else 0)
        assert items["refusal"] == one.refusal

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        """One event per change, one accepted receipt per confirmed payment, an order paid once."""
        with self.app.app_context(), db.engine.connect() as connection:
            events = connection.execute(
                text(
                    "SELECT p.txid, e.name FROM payment_events e JOIN payments p"
                    " ON p.id = e.payment_id WHERE p.id >= (SELECT id FROM payments"
                    " WHERE txid = :first) ORDER BY e.id"
                ),
                {"first": next(iter(self.payments))},
            ).all()
            receipts = connection.execute(
                text(
                    "SELECT end_to_end_id, bank_payment_id, amount_centavos, reason FROM receipts"
                    " WHERE end_to_end_id LIKE :mine"
                ),
                {"mine": f"E{self.name}.%"},
            ).all()
        for one in self.payments.values():
            assert [name for txid, name in events if txid == one.id] == one.events
        assert {row[0]: tuple(row[1:]) for row in receipts} == self.receipts
        accepted = [txid for txid, _, reason in self.receipts.values() if reason is None]
        confirmed = [one for one in self.payments.values() if one.status == "confirmed"]
        assert sorted(accepted) == sorted(one.id for one in confirmed)
        orders = [one.order_id for one in confirmed if one.order_id]
        assert len(orders) == len(set(orders))

    # The model.

    def _is_past(self, one: Modelled) -> bool:
        return self._status(one) == "expired"

    def _notify(self, one: Modelled, paid_at: datetime, more: int) -> None:
        body = {
            "bank_payment_id": one.id,
            "value": f"0.{one.centavos + more:02d}",
            "end_to_end_id": f"E{self.name}.{len(self.receipts)}",
            "paid_at": rfc3339(paid_at),
        }
        self.told.append(body)
        self._tell(body)

    def _any(self, data: st.DataObject) -> Modelled:
        return self.payments[data.draw(st.sampled_from(sorted(self.payments, key=self._age)))]

    def _age(self, txid: str) -> int:
        return list(self.payments).index(txid)

    def _is_due(self, one: Modelled) -> bool:
        return one.status == "pending" and self.clock.now() > one.deadline

    def _status(self, one: Modelled) -> str:
        return "expired" if self._is_due(one) else one.status

    def _becomes(self, one: Modelled, status: str) -> None:
        one.changes += 1 + self._is_due(one) * (status != "expired")
        one.status = status
        one.events.append(f"payment.{status}")

    def _write_down(self, one: Modelled) -> None:
        if self._is_due(one):
            self._becomes(one, "expired")

    def _of_order(self, order_id: str | None) -> list[Modelled]:
        if order_id is None:
            return []
        return [one for one in self.payments.values() if one.order_id == order_id]

    def _blocked(self, order_id: str | None) -> bool:
        return any(
            self._status(one) in ("pending", "confirmed") for one in self._of_order(order_id)
        )

    def _write_down_order(self, order_id: str | None) -> None:
        for one in self._of_order(order_id):
            self._write_down(one)

    def _create(self, order_id: str | None, centavos: int, expires_in: int) -> None:
        body = {"value": f"0.{centavos:02d}", "order_id": order_id, "expires_in": expires_in}
        answer = self.client.post("/payments/pix", json=body)
        if self._blocked(order_id):
            assert (answer.status_code, answer.json["code"]) == (409, "order-already-has-payment")
            return
        assert answer.status_code == 201, answer.text
        self._write_down_order(order_id)
        self._remember(answer.json["payment"], order_id, centavos, expires_in)

    def _remember(
        self, payment: dict[str, Any], order_id: str | None, centavos: int, seconds: int
    ) -> Modelled:
        deadline = self.clock.now() + timedelta(seconds=seconds)
        one = Modelled(
            payment["id"], payment["watch_code"], order_id, centavos, deadline, lifetime=seconds
        )
        self.payments[one.id] = one
        return one

    def _tell(self, body: dict[str, Any]) -> None:
        answer = self.bank.tell(body)
        one = self.payments[body["bank_payment_id"]]
        earlier = self.receipts.get(body["end_to_end_id"])
        reason = earlier[2] if earlier else self._verdict(one, body)
        if reason is None:
            assert answer.status_code == 200, answer.text
            outcome: dict[str, Any] = answer.get_json()
            assert outcome["duplicate"] is (earlier is not None)
            assert outcome["payment"]["status"] == "confirmed"
        else:
            assert answer.status_code in (400, 409)
            assert answer.get_json()["code"] == reason

    def _verdict(self, one: Modelled, body: dict[str, Any]) -> str | None:
        """Apply the money to the model; return the reason of a refusal, or None."""
        reason = self._reason(one, body)
        centavos = int(body["value"].removeprefix("0."))
        self.receipts[body["end_to_end_id"]] = (one.id, centavos, reason)
        if reason is None:
            for rival in self._of_order(one.order_id):
                if rival is one or one.status != "expired":
                    continue
                if self._is_due(rival):
                    self._write_down(rival)
                elif rival.status == "pending":
                    self._becomes(rival, "cancelled")
            self._becomes(one, "confirmed")
        else:
            one.events.append("receipt.refused")
            if one.status != "confirmed":  # a paid payment stays as it is
                one.refusal = reason
                one.changes += 1 + self._is_due(one)  # readers may have the number of the expiry
        return reason

    def _reason(self, one: Modelled, body: dict[str, Any]) -> str | None:
        if one.status == "confirmed":
            return "already-paid"
        if one.status == "cancelled":
            return "payment-cancelled"
        if int(body["value"].removeprefix("0.")) != one.centavos:
            return "amount-mismatch"
        if datetime.fromisoformat(body["paid_at"]) > one.deadline:
            return "paid-too-late"
        paid = [other for other in self._of_order(one.order_id) if other.status == "confirmed"]
        if one.status == "expired" and paid:
            return "already-paid"
        return None


TestHistories = Histories.TestCase
TestHistories.settings = hypothesis_settings(
    max_examples=30, stateful_step_count=20, deadline=None, print_blob=True
)
# Half a minute; a busy machine may take several times as long.
TestHistories = pytest.mark.timeout(400)(TestHistories)
TestHistories = pytest.mark.slow(pytest.mark.usefixtures("service")(TestHistories))


def test_the_model_has_every_status_and_nothing_else():
    """A new status of the service must be added to the model too."""
    statuses = {status.value for status in PaymentStatus}
    assert statuses == {"pending", "confirmed", "expired", "cancelled"}
