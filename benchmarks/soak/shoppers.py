"""Who buys during a soak: payments are paid, also twice, refunded, cancelled, or expire."""

from __future__ import annotations

import itertools
import json
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak.requests import SoakRequestFailed, SoakRequests
from core.clock import SystemClock, rfc3339
from core.signing import signatures
from tests.support.service import SECRET, end_to_end_id

WORKERS = 24
THINK_SECONDS_MAX = 2.0
EXPIRES_IN_SECONDS = 10
"""The shortest lifetime of a payment."""
PAID_SECONDS = 90
PIN = "1234"
FATES = ("confirmed", "confirmed", "paid twice", "refunded", "cancelled", "expired")


@dataclass
class SoakPayments:
    """What was acknowledged to clients: payment ids by the fate that they were meant for."""

    created: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """The status that a client was told last: confirmed, cancelled; expiry is told to nobody."""
    refunds: dict[str, str] = field(default_factory=dict)
    """The payment's id by the refund's id."""
    end_to_end_ids: dict[str, str] = field(default_factory=dict)
    """By the payment's id."""
    refused: dict[str, str] = field(default_factory=dict)
    """The payment's id by the end_to_end_id of money that the service refused."""
    faults: list[str] = field(default_factory=list)
    """Final answers that must not be."""


class Shoppers:
    """Create `rate` payments per second, and carry each to its fate."""

    def __init__(
        self,
        requests: SoakRequests,
        bank_url: str,
        rate: float,
        watch: Callable[[str], None],
        headers: dict[str, str],
    ) -> None:
        """`watch` is called with the id of each new payment; `headers` have the credentials."""
        self.payments = SoakPayments()
        self._requests = requests
        self._bank_url = bank_url
        self._rate = rate
        self._watch = watch
        self._headers = headers
        self._stopped = threading.Event()
        self._pacing = threading.Thread(target=self._pace, daemon=True)
        self._pool = ThreadPoolExecutor(WORKERS)
        self._sales: list[Future[None]] = []

    def start(self) -> None:
        """Begin to buy."""
        self._pacing.start()

    def stop(self) -> None:
        """Begin no further purchase, and wait for the end of those that have begun."""
        self._stopped.set()
        self._pacing.join()
        self._pool.shutdown(wait=True)
        for sale in self._sales:
            if (error := sale.exception()) is not None:
                self.payments.faults.append(f"{type(error).__name__}: {error}")

    def _pace(self) -> None:
        began_at = time.monotonic()
        for number in itertools.count():
            pause = began_at + number / self._rate - time.monotonic()
            if self._stopped.wait(max(0.0, pause)):
                return
            self._sales.append(self._pool.submit(self._buy, FATES[number % len(FATES)]))

    def _buy(self, fate: str) -> None:
        payment = self._create(fate)
        if payment is None:
            return
        time.sleep(random.uniform(0, THINK_SECONDS_MAX))
        if fate in ("confirmed", "paid twice"):
            self._confirm(payment)
        if fate == "paid twice":
            self._pay_again(payment)
        elif fate == "cancelled":
            self._cancel(payment)
        elif fate == "refunded":
            self._refund(payment)

    def _create(self, fate: str) -> dict[str, Any] | None:
        # The bank's payer, who pays what is refunded later, has little money.
        centavos = random.randint(100, 1_000 if fate == "refunded" else 90_000)
        body: dict[str, Any] = {"value": centavos / 100}
        if fate == "expired":
            body["expires_in"] = EXPIRES_IN_SECONDS
        headers = {**self._headers, "Idempotency-Key": secrets.token_hex(12)}
        answer = self._expect("POST", "/payments/pix", body, headers, 201)
        if answer is None:
            return None
        payment: dict[str, Any] = answer["payment"]
        self.payments.created[payment["id"]] = fate
        self._watch(payment["id"])
        return payment

    def _confirm(self, payment: dict[str, Any]) -> None:
        end_to_end_id_ = self._notify(payment, 200)
        if end_to_end_id_ is not None:
            self.payments.end_to_end_ids[payment["id"]] = end_to_end_id_
            self.payments.ended[payment["id"]] = "confirmed"

    def _pay_again(self, payment: dict[str, Any]) -> None:
        end_to_end_id_ = self._notify(payment, 409)
        if end_to_end_id_ is not None:
            self.payments.refused[end_to_end_id_] = payment["id"]

    def _notify(self, payment: dict[str, Any], status: int) -> str | None:
        """Tell of new money, twice as a bank does; its end_to_end_id, or None for a fault."""
        notice = {
            "bank_payment_id": payment["id"],
            "value": payment["value"],
            "end_to_end_id": end_to_end_id(),
            "paid_at": rfc3339(SystemClock().now()),
        }
        data = json.dumps(notice).encode()
        for _ in range(2):
            at = SystemClock().now()
            signed = signatures.signed_headers(SECRET, f"msg_{secrets.token_hex(8)}", at, data)
            if self._expect("POST", "/payments/pix/confirmation", data, signed, status) is None:
                return None
        return str(notice["end_to_end_id"])

    def _cancel(self, payment: dict[str, Any]) -> None:
        path = f"/payments/pix/{payment['id']}/cancel"
        # 409: an earlier attempt cancelled it, and its answer was lost.
        if self._expect("POST", path, None, self._headers, 200, 409) is not None:
            self.payments.ended[payment["id"]] = "cancelled"

    def _refund(self, payment: dict[str, Any]) -> None:
        order = {"code": payment["pix_code"], "pin": PIN}
        limit = time.monotonic() + PAID_SECONDS
        while self._read_status(payment) != "confirmed":
            if time.monotonic() > limit:
                self.payments.faults.append(f"{payment['id']} was not confirmed by the bank")
                return
            # The bank refuses while it cannot fetch the payment's terms from the service.
            self._requests.send("POST", "/api/pay", order, base_url=self._bank_url)
            time.sleep(0.5)
        self.payments.ended[payment["id"]] = "confirmed"
        refund_id = secrets.token_hex(10)
        path = f"/payments/pix/{payment['id']}/refunds"
        body = {"refund_id": refund_id}
        if self._expect("POST", path, body, self._headers, 200, 201) is not None:
            self.payments.refunds[refund_id] = payment["id"]

    def _read_status(self, payment: dict[str, Any]) -> str:
        status, answer = self._requests.send("GET", f"/payments/pix/{payment['id']}/status")
        return str(answer["status"]) if status == 200 else ""

    def _expect(
        self, method: str, path: str, body: Any, headers: dict[str, str], *statuses: int
    ) -> Any:
        """The answer, {} for an empty one; None if its status is another, which is a fault."""
        try:
            status, answer = self._requests.send(method, path, body, headers)
        except SoakRequestFailed as error:
            self.payments.faults.append(f"no final answer: {error}")
            return None
        if status in statuses:
            return answer or {}
        self.payments.faults.append(f"{method} {path}: {status} {answer}")
        return None
