"""What the fixture `balcao` gives a test: a merchant, money of a payer, faults, and a clock."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta

from balcao.client import Balcao
from balcao.errors import BalcaoError
from balcao.models import Payment
from balcao.testing.clock import MovableClock
from balcao.testing.errors import SandboxError, wait_until
from balcao.testing.payer import Payer
from balcao.testing.service import Service
from balcao.testing.webhooks import ShopWebhooks, payment_id_of
from balcao.transport import Transport

SCOPES = ("payments:read", "payments:write", "refunds:write", "webhooks:write")
REAL_WAIT_SECONDS_MAX = 60.0
"""How long a deadline is waited for if the clock cannot be moved."""
AFTER_DEADLINE = timedelta(seconds=3)
"""A payment of *paid-after-deadline* is made 2 s after the deadline."""
LATE_SECONDS = 1


class Sandbox:
    """A merchant of its own at a development service, for one test.

    Every deed takes a payment or its id, and waits until the state that it promises is there. It
    raises NotReached with what was there instead, and SandboxError if the bank refuses.
    """

    url: str
    """The address of the service."""
    api_key: str
    """Of the merchant; it may create, read, cancel and refund payments, and manage webhooks."""
    client: Balcao
    clock: MovableClock
    webhooks: ShopWebhooks

    def __init__(self, service: Service, seconds: float) -> None:
        """Sign up a merchant, unless the service comes with a key. `close` it after use."""
        self.url = service.url
        self.clock = service.clock
        self.api_key = service.api_key or new_merchant(service.url)
        self.client = Balcao(self.url, self.api_key)
        self.webhooks = ShopWebhooks(self.client, seconds)
        self._payer = Payer(self.url)
        self._seconds = seconds

    def close(self) -> None:
        """Remove the webhook; the merchant stays."""
        self.webhooks.close()

    def pay(self, payment: Payment | str, *, scenario: str = "normal") -> Payment:
        """The payer pays, and the payment is confirmed.

        `scenario` is one of Balcão's docs/chaos.md that ends so, such as `lost-once`.
        """
        payment = self._pending(payment)
        self._payer.pay(payment.pix_code, scenario)
        return self._wait_for_status(payment, "confirmed")

    def pay_less(self, payment: Payment | str) -> Payment:
        """The payer pays one centavo less: the money is refused and goes back.

        The payment stays pending, and can still be paid.
        """
        payment = self._pending(payment)
        self._wait_for_return(self._payer.pay(payment.pix_code, "pay-less"))
        return self._wait_for_status(payment, "pending")

    def pay_late(self, payment: Payment | str) -> Payment:
        """The payer pays after the deadline: the payment expires and the money goes back.

        The clock advances past the deadline.
        """
        payment = self._pending(payment)
        end_to_end_id = self._payer.pay(payment.pix_code, "paid-after-deadline")
        self._pass_deadline(payment)
        self._wait_for_return(end_to_end_id)
        return self._wait_for_expiry(payment)

    def pay_twice(self, payment: Payment | str) -> Payment:
        """The payer pays two times: one transfer confirms, and the money of the other goes back.

        For the same webhook twice, see `webhooks.repeat`.
        """
        payment = self._pending(payment)
        transfers = [
            # The notice of the first is late, so the bank lets the payer pay once more.
            self._payer.pay(payment.pix_code, "late", LATE_SECONDS),
            self._payer.pay(payment.pix_code, "normal"),
        ]
        if self.clock.is_movable:
            self.clock.advance(seconds=LATE_SECONDS)
        confirmed_payment = self._wait_for_status(payment, "confirmed")
        self._wait_for_return(*transfers)
        return confirmed_payment

    def expire(self, payment: Payment | str) -> Payment:
        """Nobody pays, and the payment expires. The clock advances past the deadline."""
        payment = self._pending(payment)
        self._pass_deadline(payment)
        return self._wait_for_expiry(payment)

    def refund_fails(self, payment: Payment | str) -> Payment:
        """The payer pays, and the payment is confirmed; each refund of it will fail at the bank."""
        return self.pay(payment, scenario="refund-refused")

    def lose_notice(self, payment: Payment | str) -> Payment:
        """The payer pays, but the bank's notice is lost: the service finds the money by asking."""
        payment = self._pending(payment)
        self._payer.pay(payment.pix_code, "lost")
        path = f"/payments/pix/{payment.id}/check"

        def is_there() -> bool:
            answer = self.client.transport.request("POST", path).json()
            return isinstance(answer, dict) and answer.get("status") == "confirmed"

        # A payment is looked up once in 5 s.
        wait_until(
            is_there, self._seconds + 5, lambda: f"No look-up found {self._state_of(payment)}"
        )
        return self.client.payments.get(payment.id)

    def _pending(self, payment: Payment | str) -> Payment:
        """The payment as it is now. Raises SandboxError unless it is pending."""
        current = self.client.payments.get(payment_id_of(payment))
        if current.status != "pending":
            raise SandboxError(f"Payment {current.id} is {current.status}, not pending.")
        return current

    def _pass_deadline(self, payment: Payment) -> None:
        """Let the deadline pass, by the clock if it can be moved."""
        end = payment.expiration_date + AFTER_DEADLINE
        if self.clock.is_movable:
            self.clock.advance_to(end)
            return
        seconds = (end - self.clock.now()).total_seconds()
        if seconds > REAL_WAIT_SECONDS_MAX:
            raise SandboxError(
                f"Payment {payment.id} expires in {seconds:.0f} s, and the clock of this service "
                "cannot be moved: create it with expires_in=10, or unset BALCAO_URL."
            )
        time.sleep(max(seconds, 0))

    def _wait_for_status(self, payment: Payment, status: str) -> Payment:
        def probe() -> Payment | None:
            current = self.client.payments.get(payment.id)
            return current if current.status == status else None

        return wait_until(probe, self._seconds, lambda: f"Not {status}: {self._state_of(payment)}")

    def _wait_for_expiry(self, payment: Payment) -> Payment:
        """Wait until the expiry is stored as an event; before, it is a matter of the clock."""

        def probe() -> bool:
            events = self.client.events.list(type="payment.expired")
            return any(event.data.get("id") == payment.id for event in events)

        wait_until(probe, self._seconds, lambda: f"Not expired: {self._state_of(payment)}")
        return self.client.payments.get(payment.id)

    def _wait_for_return(self, *end_to_end_ids: str) -> None:
        """Wait until the money of one of these transfers is back."""

        def probe() -> bool:
            return any(self._payer.status(one) == "returned" for one in end_to_end_ids)

        def explain() -> str:
            states = [f"{one} is {self._payer.status(one)}" for one in end_to_end_ids]
            return f"No money went back: at the bank, {', '.join(states)}."

        wait_until(probe, self._seconds, explain)

    def _state_of(self, payment: Payment) -> str:
        try:
            current = self.client.payments.get(payment.id)
        except BalcaoError as error:
            return f"payment {payment.id} cannot be read: {error}"
        return (
            f"payment {current.id} is {current.status} (refusal: {current.raw.get('refusal')}, "
            f"expires at {current.expiration_date}; the clock says {self.clock.now()})."
        )


def new_merchant(url: str) -> str:
    """Sign up a merchant, and return an API key. Raises SandboxError, and the client's errors."""
    login, password = f"shop-{secrets.token_hex(8)}", secrets.token_urlsafe(16)
    stranger = Transport(url)
    body = {"username": login, "password": password, "role": "merchant"}
    try:
        stranger.request("POST", "/users/", body=body)
    except BalcaoError as error:
        raise SandboxError(
            f"No merchant can sign up at {url}: {error} Name a merchant's key with BALCAO_API_KEY."
        ) from None
    form = {"username": login, "password": password}
    token = str(stranger.request("POST", "/token", form=form).json()["access_token"])
    key_body = {"label": "balcao.testing", "scopes": list(SCOPES)}
    answer = Transport(url, token).request("POST", "/api/keys", body=key_body).json()
    return str(answer["key"])
